"""Data-Juicer recipes carried over: the same operators and closed bounds, and nothing lost without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import RecipeError
from sluice.operator import registry
from sluice.recipe import Dedup, Keep, Map, Measure, Recipe, Split, Top, loads
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
        (
            "video_duration_filter: {min_duration: 2, max_duration: 10, any_or_all: all}",
            "all(video_duration_s >= 2 and video_duration_s <= 10)",
        ),
        (
            "video_resolution_filter: {min_width: 640, max_height: 1080}",
            "any(video_stored_width_px >= 640 and video_stored_height_px >= 1 and video_stored_height_px <= 1080)",
        ),
        (
            "video_aspect_ratio_filter: {min_ratio: '1:2', max_ratio: 2/1}",
            "any(video_stored_aspect_ratio >= 0.5 and video_stored_aspect_ratio <= 2)",
        ),
        ("video_motion_score_filter", "any(video_motion_score >= 0.25)"),
        ("video_ocr_area_ratio_filter: {max_area_ratio: 0.1}", "any(video_ocr_area_ratio <= 0.1)"),
        (
            "video_aesthetics_filter",
            "any(video_frames_aesthetics >= 4 and video_frames_aesthetics <= 10)",
        ),
        ("video_nsfw_filter: {score_threshold: 0.3}", "any(video_nsfw <= 0.3)"),
        ("video_watermark_filter", "any(video_watermark <= 0.8)"),
        (
            "video_frames_text_similarity_filter: {min_score: 0.2}",
            "any(video_frames_text_similarity >= 0.2 and video_frames_text_similarity <= 1)",
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


@pytest.mark.parametrize(
    ("theirs", "operator", "ours", "with_"),
    [
        (
            "video_motion_score_filter: {sampling_fps: 4, size: [256], relative: true}",
            "video_motion_score",
            {"fps": 4, "side_px": 256, "relative": True, "pairs": "reference"},
            {},
        ),
        (
            "video_aesthetics_filter: {frame_num: 5, reduce_mode: max}",
            "image_aesthetics",
            {"reduce": "max", "frames": 5},
            {},
        ),
        (
            "video_nsfw_filter: {hf_nsfw_model: a/b, reduce_mode: min}",
            "video_nsfw",
            {"reduce": "min", "keyframes": True},
            {"image_nsfw": {"model": "a/b", "backend": "classifier"}},
        ),
        (
            "video_watermark_filter: {frame_sampling_method: uniform}",
            "video_watermark",
            {"reduce": "mean", "frames": 3},
            {"image_watermark": {"model": "amrul-hzz/watermark_detector"}},
        ),
        ("video_ocr_area_ratio_filter: {frame_sample_num: 1}", "video_ocr_area_ratio", {"frames": 1}, {}),
    ],
)
def test_frames_models_and_reductions_of_videos_are_carried(
    theirs: str, operator: str, ours: dict[str, Any], with_: dict[str, Any]
) -> None:
    recipe, found = _carried(theirs)
    (measure,) = (step for step in recipe.steps if isinstance(step, Measure))
    (ref,) = measure.operators
    assert (ref.name, ref.settings, ref.with_) == (operator, ours, with_)
    assert found.left == []


def test_what_cuts_videos_goes_before_all_else_and_clips_are_written() -> None:
    recipe, found = _carried(
        "video_duration_filter: {min_duration: 20}",
        "clean_links_mapper",
        "video_split_by_scene_mapper: {threshold: 20.0}",
        "video_split_by_duration_mapper",
    )
    assert [type(step) for step in recipe.steps] == [Split, Map, Keep]
    (shots,) = (step.operator for step in recipe.steps if isinstance(step, Split))
    assert (shots.name, shots.settings["trim_s"]) == ("video_split_shots", 0)
    assert recipe.write is not None
    assert recipe.write.format == "clips"
    assert sum("judge clips now" in note for note in found.differs) == 1
    threshold, second = found.left
    assert threshold == "line 6: `video_split_by_scene_mapper`: the setting `threshold: 20.0`"
    assert "a second cut" in second


def test_videos_are_cut_by_length_as_there_but_for_the_whole_ones() -> None:
    recipe, found = _carried("video_split_by_duration_mapper: {split_duration: 5}")
    (stride,) = (step.operator for step in recipe.steps if isinstance(step, Split))
    assert (stride.name, stride.settings) == ("video_split_stride", {"length_s": 5, "min_length_s": 0})
    (kept,) = found.left
    assert "keep_original_sample: true" in kept
    assert _carried("video_split_by_duration_mapper: {keep_original_sample: false}")[1].left == []


def test_what_comes_near_is_named_where_there_is_no_counterpart() -> None:
    _, found = _carried("video_motion_score_raft_filter", "video_captioning_from_video_mapper")
    flow, captions = found.left
    assert "no counterpart here: `video_motion_score`" in flow
    assert "`sluice caption`" in captions


def test_a_list_of_two_sizes_is_left_behind_and_one_is_taken() -> None:
    _, found = _carried("video_motion_score_filter: {size: [240, 320], winsize: 21}")
    assert [note.partition("filter`: ")[2] for note in found.left] == [
        "`size: [240, 320]` (one number is known here)",
        "`winsize: 21` (only 15 is known here)",
    ]


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
    "video_deduplicator",
)


@pytest.mark.parametrize(
    "name", [*catalogue().filters, *catalogue().mappers, *catalogue().splitters, *DEDUPLICATORS]
)
def test_every_operator_of_the_catalogue_exists_here_with_its_settings(name: str) -> None:
    recipe, _ = _carried(name)
    known = registry()
    columns = {output.name for spec in known for output in spec.outputs}
    for step in recipe.steps:
        if isinstance(step, Measure):
            for ref in step.operators:
                known.bind(ref.name, ref.settings, alias=ref.as_, with_=ref.with_, over=ref.over)
        if isinstance(step, Map | Split):
            known.bind(step.operator.name, step.operator.settings)
        if isinstance(step, Dedup):
            assert step.by in columns
    entry = catalogue().filters.get(name)
    if entry is not None and not entry.entities and entry.operator is None:
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
        "video_nsfw_filter: {frame_sampling_method: some}",
        "text_length_filter: {min_len: long}",
        "text_length_filter: {min_len: .nan}",
        "document_minhash_deduplicator: {num_permutations: many}",
    ],
)
def test_settings_that_no_data_juicer_takes_are_named_with_their_line(step: str) -> None:
    with pytest.raises(RecipeError, match=f"settings of `{step.partition(':')[0]}`") as caught:
        _carried("text_length_filter", step)
    assert caught.value.where == "theirs.yaml:5"
