"""Python and YAML build the same recipe; the ready recipes are sound."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sluice.dataset import Dataset, read
from sluice.errors import RecipeError, RuleError
from sluice.operator import registry
from sluice.recipe import Fields, FieldType, Keep, Map, Measure, Recipe, SampleStep, check, load, loads
from sluice.recipe.quantities import parse_size, print_size
from sluice.recipe.ready import ready_recipes

YAML = """\
source: {path: raw/*.tar, limit: 100}
steps:
  - measure: [image_sharpness, {image_text_similarity: {model: openai/clip-vit-base-patch32, as: clip}}]
  - keep: image_width_px >= 256 and image_height_px >= 256
  - keep: {rule: any(image_sharpness >= 100 and image_width_px >= 512), nulls: drop, name: blurry}
  - drop_items: image_qrcode_area_ratio >= 0.05
  - dedup: {by: image_phash, distance: 6, keep_by: image_width_px desc}
  - dedup: {by: clip_embedding, similarity: 0.95}
  - map: {resize: {width_px: 512}}
  - split: pairs
  - sample: {fraction: 0.5, seed: 7}
write: {path: curated/, format: webdataset, shard_size: 1GB, embeddings: float16}
max_failed: 1%
"""


def fluent() -> Dataset:
    return (
        read("raw/*.tar", limit=100)
        .measure(
            "image_sharpness", image_text_similarity={"model": "openai/clip-vit-base-patch32", "as": "clip"}
        )
        .keep("image_width_px >= 256 and image_height_px >= 256")
        .keep("any(image_sharpness >= 100 and image_width_px >= 512)", name="blurry")
        .drop_items("image_qrcode_area_ratio >= 0.05")
        .dedup("image_phash", distance=6, keep_by="image_width_px desc")
        .dedup("clip_embedding", similarity=0.95)
        .map("resize", width_px=512)
        .split("pairs")
        .sample(0.5, seed=7)
        .write("curated/", format="webdataset", shard_size="1GB", embeddings="float16")
        .settings(max_failed="1%")
    )


def test_both_ways_build_the_same_recipe() -> None:
    assert fluent().recipe() == loads(YAML)
    assert fluent().recipe().to_yaml() == loads(YAML).to_yaml()


def test_a_dataset_is_immutable_and_branches() -> None:
    base = read("photos/")
    assert base.keep("a > 1").recipe().steps != base.keep("b > 1").recipe().steps
    assert base.recipe() == Recipe(source="photos/")  # type: ignore[arg-type]


def test_a_step_of_any_kind_can_be_added() -> None:
    assert read("x").step(SampleStep(count=5)).recipe() == read("x").sample(count=5).recipe()


PYTHON_ERRORS = [
    (
        lambda: read("x").keep("a >"),
        "step 0: expected a field, a number or a text, found the end of the rule\n  a >\n     ^",
    ),
    (
        lambda: read("x").keep("a > 1", nulls="dorp"),
        "step 0: `keep.nulls` cannot be 'dorp'; it is one of drop, keep\n  → did you mean `drop`?",
    ),
    (
        lambda: read("x").keep("a > 1").dedup("x", distanc=3),
        "step 1: there is no field `dedup.distanc`\n  → did you mean `distance`?",
    ),
    (lambda: read("x", formt="tar").recipe(), "there is no field `source.formt`\n  → did you mean `format`?"),
    (
        lambda: read("x").settings(max_fail=1).recipe(),
        "there is no field `max_fail`\n  → did you mean `max_failed`?",
    ),
]


@pytest.mark.parametrize(("call", "message"), PYTHON_ERRORS)
def test_python_errors_read_as_yaml_errors_do(call: object, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        call()  # type: ignore[operator]
    assert str(error.value) == message


def test_a_wrong_rule_in_a_step_built_by_hand_is_a_rule_error() -> None:
    with pytest.raises(RuleError, match="comparisons do not chain"):
        Keep(rule="1 < a < 2")


def test_equality_forgets_where_a_recipe_was_written() -> None:
    assert loads(YAML, file="a.yaml") == loads("\n\n" + YAML, file="b.yaml")
    assert loads(YAML) != loads(YAML.replace("seed: 7", "seed: 8"))


@pytest.mark.parametrize(
    ("text", "size_bytes", "shortest"),
    [
        ("1GB", 10**9, "1GB"),
        ("500 mb", 5 * 10**8, "500MB"),
        ("1GiB", 2**30, "1GiB"),
        ("1.5GB", 15 * 10**8, "1500MB"),
        (10_000_000, 10**7, "10MB"),
        ("10_000_001", 10_000_001, 10_000_001),
    ],
)
def test_sizes(text: str | int, size_bytes: int, shortest: str | int) -> None:
    assert parse_size(text) == size_bytes
    assert print_size(size_bytes) == shortest


TYPES = {
    output.name: FieldType(output.name, output.kind, "item" if spec.modality else "sample", spec.modality)
    for spec in registry()
    for output in spec.outputs
}


OPERATORS = {spec.name for spec in registry()}
OF_CLIPS = {
    "valid": FieldType("valid", "bool", "sample"),
    **{name: FieldType(name, "number", "sample") for name in ("num_frames", "width", "height")},
}
"""Columns that a tree of clips has."""

OFFERED = re.compile(r"^( +)# (?=- \w+(?::|$)|    \w+: )", re.MULTILINE)
"""What stands before a step or a setting that a recipe offers and leaves out."""


def assert_sound(recipe: Recipe) -> None:
    assert loads(recipe.to_yaml()) == recipe
    for step in recipe.steps:
        if isinstance(step, Keep):
            assert step.name
            check(step.parsed, Fields(TYPES | OF_CLIPS if recipe.source.format == "clips" else TYPES))
        if isinstance(step, Measure):
            assert {ref.name for ref in step.operators} <= OPERATORS
        if isinstance(step, Map):
            assert step.operator.name in OPERATORS


@pytest.mark.parametrize("name", sorted(ready_recipes()))
def test_a_ready_recipe_is_sound_and_says_who_it_is_for(name: str) -> None:
    recipe = load(name, source="in", output="out")
    assert_sound(recipe)
    assert "Who it is for" in Path(recipe.file).read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "steps"), [("video-split", 24), ("video-annotate", 9)])
def test_all_that_a_ready_recipe_offers_can_be_taken(name: str, steps: int) -> None:
    text = OFFERED.sub(r"\1", ready_recipes()[name].read_text(encoding="utf-8"))
    recipe = loads(text)
    assert len(recipe.steps) == steps
    assert_sound(recipe)


def test_the_ready_recipes_are_there() -> None:
    assert {"images", "images-clip", "image-text", "image-text-basic", "text"} <= set(ready_recipes())


def test_reading_recipes_loads_nothing_heavy() -> None:
    code = (
        "import sys; from sluice.recipe import loads; from sluice.dataset import read\n"
        "loads('source: x'); read('x').keep('a > 1').recipe()\n"
        "print([name for name in ('duckdb', 'pyarrow', 'cv2', 'numpy', 'obstore') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
