"""YAML to recipe and back; every error with its file, line, field and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluice.errors import RecipeError
from sluice.recipe import STEP_KINDS, Recipe, load, loads
from sluice.recipe.yaml_text import read_yaml

FULL = """\
source: {path: s3://bucket/raw/*.tar}          # format inferred; format:, columns:, limit: to say otherwise
steps:
  - measure: [image_sharpness, {image_text_similarity: {model: openai/clip-vit-base-patch32}}]
  - keep: image_width_px >= 256 and image_height_px >= 256
  - keep: {rule: any(image_sharpness >= 100 and image_width_px >= 512), nulls: drop, name: blurry}
  - drop_items: image_qrcode_area_ratio >= 0.05
  - dedup: {by: image_phash, distance: 6, keep_by: image_width_px desc}
  - dedup: {by: clip_embedding, similarity: 0.95}
  - sample: {fraction: 0.5, seed: 7}
write: {path: s3://bucket/curated/, format: webdataset, shard_size: 1GB, embeddings: float16}
max_failed: 1%
"""


def test_the_documented_recipe_is_read() -> None:
    recipe = loads(FULL, file="r.yaml")
    assert [step.key for step in recipe.steps] == [
        "measure",
        "keep",
        "keep",
        "drop_items",
        "dedup",
        "dedup",
        "sample",
    ]
    assert [str(step.at) for step in recipe.steps] == [f"r.yaml:{line}" for line in range(3, 10)]
    assert recipe.write is not None
    assert (recipe.write.shard_size, recipe.max_failed, recipe.title) == (10**9, 0.01, "r")


def test_yaml_round_trips() -> None:
    recipe = loads(FULL)
    assert loads(recipe.to_yaml(), file="elsewhere") == recipe
    assert loads(recipe.to_yaml(full=True)) == recipe
    assert loads(recipe.to_yaml()).to_yaml() == recipe.to_yaml()


def test_other_readers_of_yaml_see_the_same() -> None:
    import yaml

    settings = {
        "a": "no",
        "b": "1e3",
        "c": "16:9",
        "d": "2024-01-01",
        "e": "null",
        "f": 1e300,
        "g": True,
        "h": "",
    }
    recipe = loads("source: x").replace(steps=(STEP_KINDS["measure"].model_validate({"x": settings}),))
    assert yaml.safe_load(recipe.to_yaml())["steps"] == [{"measure": [{"x": settings}]}]
    assert loads(recipe.to_yaml()) == recipe


names = st.text(min_size=1, max_size=8).filter(lambda text: "\0" not in text)
steps = st.one_of(
    st.sampled_from(["a >= 5", "any(b) > 16:9 and c = 'no'", "d = ': #'"]).map(lambda rule: {"keep": rule}),
    st.fixed_dictionaries(
        {"rule": st.just("a > 1"), "name": names, "nulls": st.sampled_from(["drop", "keep"])}
    ).map(lambda payload: {"drop_items": payload}),
    st.builds(lambda count, seed: {"sample": {"count": count, "seed": seed}}, st.integers(1), st.integers()),
    st.builds(
        lambda name, settings: {"measure": [{name: settings}, "other"]},
        st.sampled_from(["image_sharpness", "no", "1e3", "16:9"]),
        st.dictionaries(
            names.filter(lambda name: name not in ("as", "with", "when")),
            st.one_of(
                st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.floats(allow_nan=False)
            ),
            max_size=3,
        ),
    ),
    st.builds(lambda by, distance: {"dedup": {"by": by, "distance": distance}}, names, st.integers(0, 64)),
)


@example("a\x85b\u2028", [], 1, "fail")
@settings(max_examples=100, deadline=None)
@given(
    names, st.lists(steps, max_size=4), st.integers(1, 10**13), st.sampled_from(["drop_item", "fail", "null"])
)
def test_any_recipe_survives_its_own_yaml(path: str, data: list[object], size: int, item_errors: str) -> None:
    from sluice.recipe.build import build_recipe
    from sluice.recipe.yaml_text import Document

    whole = {
        "source": path,
        "steps": data,
        "write": {"path": path, "shard_size": size},
        "item_errors": item_errors,
    }
    recipe = build_recipe(Document(whole))
    assert loads(recipe.to_yaml()) == recipe
    assert loads(recipe.to_yaml(full=True)) == recipe


WRONG = """\
source: {pth: x}
steps:
  - keep: {rule: 'width >', nuls: drop}
  - keep: {rule: 'a > 1', nulls: dropp}
  - dedupe: x
  - dedup: {by: x, distance: 6}
    name: y
  - dedup: {by: x, distance: -1, keep_by: width}
  - measure: [{x: 5}, 7]
  - sample: {}
  - keep: 5
  - drop
  - dedup: {by: x, distance: 1, similarity: 0.5}
wrte: {}
write: {path: x, shard_size: big, embeddings: float15}
max_failed: 5
limits:
  sample: 3
"""
TOLD = """\
20 things are wrong in the recipe:
r.yaml:1: `source.path` is missing
r.yaml:1: there is no field `source.pth`
  → did you mean `path`?
r.yaml:3: there is no field `steps.0.keep.nuls`
  → did you mean `nulls`?
r.yaml:3: expected a field, a number or a text, found the end of the rule
  width >
         ^
r.yaml:4: `steps.1.keep.nulls` cannot be 'dropp'; it is one of drop, keep
  → did you mean `drop`?
r.yaml:5: there is no step `dedupe`
  → did you mean `dedup`?
r.yaml:7: a step has one key, this one has `dedup`, `name`
  → indent `name` below `dedup`: dedup: {by: …, name: …}
r.yaml:8: `steps.4.dedup.distance` must be >= 0, not -1
r.yaml:8: `steps.4.dedup.keep_by`: 'width' does not say which of several duplicates to keep
  → write one of first, random, centroid_far, centroid_near, highest_resolution, or `image_width_px desc` \
(the largest is kept; or asc)
r.yaml:9: `steps.5.measure.0`: the settings of `x` must be a mapping, not 5
  → {setting: value}
r.yaml:9: `steps.5.measure.1`: 7 is not an operator
  → write its name, or {name: {setting: value}}
r.yaml:10: `steps.6.sample`: `sample` takes either `fraction` or `count`
  → sample: {fraction: 0.5, seed: 7}
r.yaml:11: `steps.7.keep` must be a text, not 5
r.yaml:12: `steps.8` is not a step
  → write one of measure, map, split, keep, drop_items, dedup, sample, top, quantile, balance, \
frequency, mixture, then what it takes: \
- keep: image_width_px >= 256
r.yaml:13: `steps.9.dedup`: `distance` and `similarity` exclude each other
  → `distance` is for hashes (bits), `similarity` for vectors (cosine); keep one
r.yaml:14: there is no field `wrte`
  → did you mean `write`?
r.yaml:15: `write.shard_size`: 'big' is not a size
  → write it as 1GB, 500MB, 1GiB or a number of bytes
r.yaml:15: `write.embeddings` cannot be 'float15'; it is one of none, float16, float32
  → did you mean `float16`?
r.yaml:16: `max_failed`: 5 is not between 0 and 1
  → 5% is written 5%
r.yaml:18: there is no field `limits.sample`
  → did you mean `sample_s`?"""


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(RecipeError) as error:
        loads(WRONG, file="r.yaml")
    assert str(error.value) == TOLD


ERRORS = {
    "": "r: the recipe is empty\n  → start with `source: {path: photos/}`",
    "- a": "r:1: a recipe is a mapping\n  → start with `source: {path: photos/}`",
    "source: x\nsource: y": "r:2: `source` is given twice (first in line 1)\n  → remove one of them",
    "source: x\nsteps: {keep: a}": (
        "r:2: `steps` must be a list\n  → start each step with `- `: - keep: image_width_px >= 256"
    ),
    "source: x\nsteps:\n- keep: a > 1\n  sample: {count: 1}": (
        "r:4: a step has one key, this one has `keep`, `sample`\n  → start each step with its own `- `"
    ),
    "source: x\nsteps:\n- keep: {at: 3, rule: a > 1}": (
        "r:3: there is no field `steps.0.keep.at`\n  → fields: name, nulls, rule"
    ),
    "source: x\nsteps:\n- keep:": "r:3: `steps.0.keep` must be a text, not empty",
    "source: x\nsteps:\n- keep: a: b": (
        "r:3: not valid YAML: mapping values are not allowed here\n  → put a value that holds `: ` in quotes"
    ),
    "source: x\n\tsteps: []": (
        "r:2: not valid YAML: found character '\\t' that cannot start any token\n"
        "  → indent with spaces and put values with special characters in quotes"
    ),
    "source: !!python/object/apply:os.system [ls]": (
        "r:1: the tag tag:yaml.org,2002:python/object/apply:os.system has no place in a recipe\n  → remove it"
    ),
    "source: !secret x": "r:1: the tag !secret has no place in a recipe\n  → remove it",
    "source: x\n5: y": "r:2: a key must be a text\n  → put it in quotes",
    "source: x\nwrite: {path: y, shard_samples: 2.5}": "r:2: `write.shard_samples` must be a whole number, not 2.5",
    "source: x\nitem_errors: skip": (
        "r:2: `item_errors` cannot be 'skip'; it is one of drop_item, fail, null"
    ),
    "source: x\nmax_failed: [1]": "r:2: `max_failed`: [1] is not a share\n  → write it as 1% or 0.01",
    "source: x\nname: ''": "r:2: `name` must not be empty",
    "source: x\nsteps:\n- keep:\n    name: n\n    rule: a >": (
        "r:5: expected a field, a number or a text, found the end of the rule\n  a >\n     ^"
    ),
}


@pytest.mark.parametrize("text", ERRORS)
def test_one_error_is_told_as_it_is(text: str) -> None:
    with pytest.raises(RecipeError) as error:
        loads(text, file="r")
    assert str(error.value) == ERRORS[text]


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:- \n[]{}&*!|>'\"#%@,\t?~0"), max_size=60) | st.text(max_size=40))
def test_any_text_is_a_recipe_or_a_recipe_error(text: str) -> None:
    found: object = None
    try:
        found = loads(text)
    except RecipeError as error:
        found = error
    assert isinstance(found, Recipe | RecipeError)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
        "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]",
        "a: &a {b: *a}",
        "a: " + "[" * 5000,
        "x" * 1_000_001,
        "a: 1" + "0" * 10_000,
    ],
)
def test_hostile_yaml_is_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        loads(text)


def test_scalars_follow_yaml_1_2() -> None:
    text = "a: [no, on, 16:9, 1e3, 0x1F, 1_000, .5, null, ~, '', true, 1GB, 2024-01-01, -3]\n"
    text += "b: &x {c: 1}\nd: {<<: *x, c: 2}"
    assert read_yaml(text).data == {
        "a": ["no", "on", "16:9", 1000.0, 31, 1000, 0.5, None, None, "", True, "1GB", "2024-01-01", -3],
        "b": {"c": 1},
        "d": {"c": 2},
    }


def test_overrides_change_what_they_name() -> None:
    recipe = loads(
        FULL,
        [
            "steps.1.keep.rule=image_width_px >= 100",
            "steps.1.keep.name=small",
            "write.shard_size=500MB",
            "limits.sample_s=5",
        ],
        source="in/",
        output="out/",
    )
    assert recipe.steps[1].payload() == {"rule": "image_width_px >= 100", "name": "small"}
    assert recipe.write is not None
    assert (recipe.source.path, recipe.write.path, recipe.write.shard_size) == ("in/", "out/", 500_000_000)
    assert recipe.limits.sample_s == 5


def test_the_number_after_the_last_adds_a_step() -> None:
    recipe, more = "source: in\nsteps: [keep: c]", "steps.1={keep: a >= 5}"
    with pytest.raises(RecipeError, match=r"there is no `steps\.2`"):
        loads(recipe, [more, "steps.2.keep.name=n"])
    steps = loads(recipe, [more, "steps.1.keep.name=n"]).steps
    assert [step.payload() for step in steps] == ["c", {"rule": "a >= 5", "name": "n"}]


def test_source_and_output_complete_a_recipe_without() -> None:
    assert loads("steps: []", source="a", output="b") == loads("source: a\nwrite: b")
    assert loads("", source="a") == loads("source: a")


OVERRIDE_ERRORS = {
    "write.pth=x": "--set write.pth=x: there is no field `write.pth`\n  → did you mean `path`?",
    "steps.9.keep.rule=x": "--set steps.9.keep.rule=x: there is no `steps.9`\n  → there are 7, numbered from 0",
    "steps.first.keep=x": "--set steps.first.keep=x: there is no `steps.first`\n  → there are 7, numbered from 0",
    "write": "--set write: this sets nothing\n  → write it as write.path=curated/",
    "max_failed.x=1": "--set max_failed.x=1: `max_failed` is '1%' and has no parts",
    "steps.1.keep.rule=a >": (
        "--set steps.1.keep.rule=a >: expected a field, a number or a text, found the end of the rule\n  a >\n     ^"
    ),
    "write.path=[": "--set write.path=[:1: not valid YAML: expected the node content, but found '<stream end>'",
}


@pytest.mark.parametrize("setting", OVERRIDE_ERRORS)
def test_a_wrong_override_is_told_by_its_own_text(setting: str) -> None:
    with pytest.raises(RecipeError) as error:
        loads(FULL, [setting])
    assert str(error.value) == OVERRIDE_ERRORS[setting]


def test_rule_errors_know_their_line_or_option() -> None:
    recipe = loads(
        "source: x\nsteps:\n- keep:\n    name: n\n    rule: a > 1\n- keep: b > 2",
        ["steps.1.keep.rule=c > 3"],
        file="r",
    )
    assert [step.parsed.where for step in recipe.steps] == ["r:5", "--set steps.1.keep.rule=c > 3"]  # type: ignore[attr-defined]


def test_operators_know_their_line() -> None:
    (measure,) = loads("source: x\nsteps:\n- measure:\n  - a\n  - b: {c: 1}", file="r").steps
    assert [str(operator.at) for operator in measure.operators] == ["r:4", "r:5"]  # type: ignore[attr-defined]


def test_files_are_read_and_missing_ones_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("source: x\n", encoding="utf-8-sig")
    assert load(path).source.path == "x"
    assert load(path).file == str(path)
    with pytest.raises(RecipeError) as error:
        load(tmp_path / "mind.yaml")
    assert (
        str(error.value) == f"{tmp_path / 'mind.yaml'}: there is no such file\n  → did you mean `mine.yaml`?"
    )
    with pytest.raises(RecipeError, match="this is a folder"):
        load(tmp_path)
    path.write_bytes(b"source: x\nname: \xff\n")
    with pytest.raises(RecipeError) as error:
        load(path)
    assert str(error.value) == f"{path}:2: this is not UTF-8 text\n  → save the recipe as UTF-8"


def test_a_bare_name_is_a_ready_recipe() -> None:
    with pytest.raises(RecipeError) as error:
        load("imags")
    assert str(error.value) == "there is no file and no ready recipe `imags`\n  → did you mean `images`?"


def test_every_kind_of_step_is_documented_and_named() -> None:
    for key, kind in STEP_KINDS.items():
        assert kind.key == key
        assert kind.__doc__


def test_a_step_that_is_off_is_no_step_until_it_is_turned_on() -> None:
    text = (
        "source: x\n"
        "steps:\n"
        "- keep: {rule: a > 1, off: true}\n"
        "- measure: {operators: image_sharpness, off: true}\n"
        "- keep: b > 1\n"
    )
    assert loads(text) == loads("source: x\nsteps: [{keep: b > 1}]")
    turned_on = loads(text, overrides=["steps.0.keep.off=false"])
    assert [step.payload() for step in turned_on.steps] == ["a > 1", "b > 1"]
    assert "off" not in turned_on.to_yaml(full=True)
