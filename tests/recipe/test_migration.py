"""Data-Juicer recipes carried over: the same operators and closed bounds, and nothing lost without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import RecipeError
from sluice.operator import registry
from sluice.recipe import Dedup, Keep, Map, Measure, Recipe, Top, loads
from sluice.recipe.migration import CarriedOver, catalogue, from_data_juicer

HEAD = "dataset_path: in.jsonl\nexport_path: ./out/kept.jsonl\nprocess:\n"


def _carried(*process: str, head: str = HEAD) -> tuple[Recipe, CarriedOver]:
    found = from_data_juicer(head + "".join(f"  - {line}\n" for line in process), "theirs.yaml")
    return loads(found.text), found


def _rules(*process: str) -> list[str]:
    recipe, _ = _carried(*process)
    return [step.rule for step in recipe.steps if isinstance(step, Keep)]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("text_length_filter: {min_len: 20, max_len: 300}", "text_length >= 20 and text_length <= 300"),
        ("text_length_filter", "text_length >= 10"),
        ("alphanumeric_filter", "text_alphanumeric_ratio >= 0.25"),
        ("special_characters_filter:", "text_special_character_ratio <= 0.25"),
        ("words_num_filter: {min_num: 5}", "text_word_count >= 5"),
        (
            "image_shape_filter: {min_width: 200, min_height: 100}",
            "any(image_width_px >= 200 and image_height_px >= 100)",
        ),
        (
            "image_aspect_ratio_filter: {any_or_all: all}",
            "all(image_aspect_ratio >= 0.333 and image_aspect_ratio <= 3)",
        ),
        (
            "image_size_filter: {min_size: 1KB, max_size: 20 MB}",
            "any(image_size_bytes >= 1024 and image_size_bytes <= 20971520)",
        ),
        (
            "image_aesthetics_filter: {min_score: 0.55}",
            "any(image_aesthetics >= 5.5 and image_aesthetics <= 10)",
        ),
        ("image_watermark_filter", "any(image_watermark <= 0.8)"),
        (
            "image_text_similarity_filter: {reduce_mode: max}",
            "max(image_text_similarity) >= 0.1 and max(image_text_similarity) <= 1",
        ),
        (
            "image_text_matching_filter: {max_score: 2}",
            "mean(image_text_matching) >= 0.003 and mean(image_text_matching) <= 2",
        ),
    ],
)
def test_a_filter_becomes_a_rule_with_the_same_closed_bounds(theirs: str, ours: str) -> None:
    assert _rules(theirs) == [ours]


def test_languages_are_listed_with_their_score() -> None:
    assert _rules("language_id_score_filter: {lang: [en, de], min_score: 0.7}") == [
        "text_language in ('en', 'de') and text_language_score >= 0.7"
    ]


def test_samples_without_images_pass_rules_about_images_as_they_do_there() -> None:
    recipe, _ = _carried("image_shape_filter", "text_length_filter")
    assert [step.nulls for step in recipe.steps if isinstance(step, Keep)] == ["keep", "drop"]


def test_settings_are_carried_and_two_of_one_operator_are_two_columns() -> None:
    recipe, _ = _carried(
        "word_repetition_filter: {rep_len: 5}", "word_repetition_filter: {rep_len: 10, max_ratio: 0.2}"
    )
    first, rule, second, other = recipe.steps
    assert isinstance(first, Measure)
    assert isinstance(second, Measure)
    assert first.operators[0].column == "text_word_repetition"
    assert second.operators[0].column == "text_word_repetition_2"
    assert isinstance(rule, Keep)
    assert isinstance(other, Keep)
    assert (rule.rule, other.rule) == ("text_word_repetition <= 0.5", "text_word_repetition_2 <= 0.2")


def test_mappers_go_first_and_that_is_told() -> None:
    recipe, found = _carried("text_length_filter", "clean_links_mapper", "fix_unicode_mapper")
    assert [type(step) for step in recipe.steps] == [Map, Map, Keep]
    assert sum("moved before all rules" in note for note in found.differs) == 2


def test_deduplicators_and_selectors_become_steps() -> None:
    recipe, _ = _carried(
        "document_deduplicator: {lowercase: true}",
        "document_minhash_deduplicator: {jaccard_threshold: 0.8, window_size: 4}",
        "image_deduplicator",
        "topk_specified_field_selector: {field_key: __dj__stats__.text_len, top_ratio: 0.2}",
    )
    by = [step.by for step in recipe.steps if isinstance(step, Dedup)]
    assert by == ["text_content_hash", "text_minhash", "image_phash"]
    (top,) = (step for step in recipe.steps if isinstance(step, Top))
    assert (top.by, top.fraction, top.order) == ("text_length", 0.2, "desc")


def test_what_cannot_be_carried_is_named_with_its_line_in_the_recipe_too() -> None:
    _, found = _carried(
        "text_length_filter", "audio_duration_filter: {min_duration: 3}", "text_length_filter: {odd: 1}"
    )
    assert found.left == [
        "line 5: `audio_duration_filter` has no counterpart here",
        "line 6: `text_length_filter`: the setting `odd` is not known here",
    ]
    assert all(note in found.text for note in found.left)
    assert found.carried == 2


def test_values_that_we_know_otherwise_are_told() -> None:
    _, found = _carried("image_text_similarity_filter: {horizontal_flip: true}")
    assert any("horizontal_flip" in note for note in found.left)


def test_where_it_reads_and_writes_is_carried() -> None:
    head = "project_name: a\nnp: 4\ntext_keys: [content]\nodd: 3\n" + HEAD
    recipe, found = _carried("text_length_filter", head=head)
    assert (recipe.source.path, recipe.source.columns) == ("in.jsonl", {"text": "content"})
    assert recipe.write is not None
    assert (recipe.write.path, recipe.write.format) == ("out/kept", "jsonl")
    assert found.left == ["line 4: `odd` is not known here"]


@pytest.mark.parametrize("text", ["", "process: 3", "steps:\n  - keep: a >= 1\n", "- a\n- b"])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="no Data-Juicer recipe"):
        from_data_juicer(text, "x.yaml")


BOUNDS = st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6, allow_nan=False))


@given(low=BOUNDS, high=BOUNDS)
def test_any_bounds_survive_to_the_last_digit(low: float, high: float) -> None:
    step = yaml.safe_dump({"text_length_filter": {"min_len": low, "max_len": high}}, default_flow_style=True)
    low, high = (int(x) if x == int(x) else x for x in (low, high))
    lower = f"text_length >= {low!r} and " if low != 0 else ""  # no length is below 0
    assert _rules(step) == [f"{lower}text_length <= {high!r}"]


DEDUPLICATORS = (
    "document_deduplicator: {lowercase: true}",
    "document_minhash_deduplicator",
    "image_deduplicator",
)


@pytest.mark.parametrize("name", [*catalogue().filters, *catalogue().mappers, *DEDUPLICATORS])
def test_every_operator_of_the_catalogue_exists_here_with_its_settings(name: str) -> None:
    recipe, _ = _carried(name)
    known = registry()
    columns = {output.name for spec in known for output in spec.outputs}
    for step in recipe.steps:
        if isinstance(step, Measure):
            for ref in step.operators:
                known.bind(ref.name, ref.settings, with_=ref.with_)
        if isinstance(step, Map):
            known.bind(step.operator.name, step.operator.settings)
        if isinstance(step, Dedup):
            assert step.by in columns
    entry = catalogue().filters.get(name)
    if entry is not None and not entry.entities:
        assert set(entry.fields) <= columns


def test_the_command_writes_a_recipe_and_says_what_it_left(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from sluice.cli import main

    theirs = tmp_path / "theirs.yaml"
    theirs.write_text(HEAD + "  - text_length_filter: {min_len: 3}\n  - audio_size_filter:\n")
    target = tmp_path / "ours.yaml"
    arguments = ["init", "--from", str(theirs), "--source", "docs.jsonl", "--file", str(target)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "1 operators carried over" in result.output
    assert "audio_size_filter" in result.output
    assert loads(target.read_text()).source.path == "docs.jsonl"


def test_the_older_name_of_the_bound_on_unsafe_pictures_is_carried() -> None:
    _, found = _carried("image_nsfw_filter: {score_threshold: 0.9, trust_remote_code: false}")
    assert _rules("image_nsfw_filter: {score_threshold: 0.9}") == ["any(image_nsfw <= 0.9)"]
    assert found.left == []


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("{field_key: a, min_value: 0}", ["sample_metadata_number >= 0"]),
        ("{field_key: a, min_value: -.inf}", []),
    ],
)
def test_a_lowest_value_of_zero_stays_where_values_can_be_below_it(theirs: str, ours: list[str]) -> None:
    assert _rules(f"specified_numeric_field_filter: {theirs}") == ours
    (similar,) = _rules("image_text_similarity_filter: {min_score: 0}")
    assert similar.startswith("mean(image_text_similarity) >= 0 ")


def test_a_language_that_a_recipe_leaves_out_is_any_as_it_is_there() -> None:
    assert _rules("language_id_score_filter: {min_score: 0.6}") == ["text_language_score >= 0.6"]


def test_an_operator_without_settings_is_not_that_with_settings_after_it() -> None:
    assert _rules("alphanumeric_filter", "alphanumeric_filter: {tokenization: true}") == [
        "text_alphanumeric_ratio >= 0.25",
        "text_alphanumeric_ratio_2 >= 0.25",
    ]


def test_a_count_beside_a_ratio_is_told() -> None:
    both = "topk_specified_field_selector: {field_key: __dj__stats__.text_len, top_ratio: 0.5, topk: 3}"
    assert any("topk: 3" in note for note in _carried(both)[1].left)


@pytest.mark.parametrize(
    "step",
    [
        "flagged_words_filter: {lang: [en, zh]}",
        "alphanumeric_filter: {tokenization: [1]}",
        "image_text_similarity_filter: {reduce_mode: median}",
        "image_shape_filter: {any_or_all: some}",
        "text_length_filter: {min_len: long}",
        "text_length_filter: {min_len: .nan}",
        "document_minhash_deduplicator: {num_permutations: many}",
    ],
)
def test_settings_that_no_data_juicer_takes_are_named_with_their_line(step: str) -> None:
    with pytest.raises(RecipeError, match=f"settings of `{step.partition(':')[0]}`") as caught:
        _carried("text_length_filter", step)
    assert caught.value.where == "theirs.yaml:5"
