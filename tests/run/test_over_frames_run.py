"""Measures over frames of videos in runs: rules, gates, the store, the lock, and recipes that ask wrongly."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from journeys import balanced, fates_of, go, measured, values_of, write_tar

import tiny_models
from made_videos import made, numbered
from sluice import read
from sluice.errors import PlanError, RecipeError
from sluice.recipe.load import loads
from sluice.recipe.schema import recipe_schema

SHARP = "  - measure: {image_sharpness: {over: frames, fps: 5, reduce: mean, as: video_sharpness_mean}}\n"


@cache
def flat() -> bytes:
    return made((np.full((64, 96, 3), 128, np.uint8) for _ in range(10)), fps=10)


def source(tmp_path: Path) -> Path:
    """Sharp bars, a flat clip, one cut short, one without a video."""
    bars = made(numbered(10, 96, 64, first=0b101010101), fps=10)
    files = {
        "a.mp4": bars,
        "b.mp4": flat(),
        "c.mp4": bars[: len(bars) // 2],
        "d.txt": b"nothing to see",
    }
    write_tar(tmp_path / "in/a.tar", files)
    return tmp_path


def test_rules_judge_videos_by_their_frames(tmp_path: Path) -> None:
    found = go(source(tmp_path), SHARP + "  - keep: video_sharpness_mean >= 100")
    values = values_of(tmp_path / "out", "video_sharpness_mean")
    assert values["a"] > 100 > 10 > values["b"]
    fates = fates_of(tmp_path / "out")
    assert {key: fate["fate"] for key, fate in fates.items()} == {
        "a": "kept", "b": "dropped", "c": "failed", "d": "dropped",
    }  # fmt: skip
    assert balanced(found)
    again = go(tmp_path, SHARP + "  - keep: video_sharpness_mean >= 1", update=True)
    assert measured(again) == 0, "another bound measures nothing"
    lock = next(iter((tmp_path / "out").rglob("lock.yaml"))).read_text()
    for said in ("over: frames", "fps: 5", "reduce: mean"):
        assert said in lock


def test_the_same_recipe_in_python_and_in_the_schema() -> None:
    text = "source: {path: in/a.tar}\nsteps:\n" + SHARP
    fluent = read("in/a.tar").measure(
        image_sharpness={"over": "frames", "fps": 5, "reduce": "mean", "as": "video_sharpness_mean"}
    )
    assert fluent.recipe().to_data() == loads(text).to_data()
    schema = recipe_schema({"image_sharpness": {"properties": {}}})
    jsonschema.validate(loads(text).to_data(), schema)
    wrong = loads(text).to_data()
    wrong["steps"][0]["measure"][0]["image_sharpness"]["reduce"] = "most"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{image_sharpness: {over: frames, as: x}}", "which frames of a clip are meant"),
        ("{image_sharpness: {over: frames, fps: 0, as: x}}", "no number of frames a second"),
        ("{image_sharpness: {over: frames, fps: 1}}", "needs a name"),
        ("{image_phash: {over: frames, fps: 1, as: x}}", "holds hashes"),
        ("{image_sharpness: {over: frame, as: x}}", "over"),
        ("{image_sharpness: {fps: 1}}", "unknown setting"),
    ],
)
def test_what_a_recipe_asks_wrongly_is_refused_with_its_line(tmp_path: Path, step: str, message: str) -> None:
    with pytest.raises((PlanError, RecipeError), match=message) as caught:
        go(source(tmp_path), f"  - measure: {step}\n")
    assert ":" in caught.value.where or "step" in str(caught.value)


def test_a_dear_measure_over_frames_waits_for_the_cheap_rules(tmp_path: Path) -> None:
    model = tiny_models.classifier(tmp_path / "model")
    marks = f"{{image_watermark: {{over: frames, frames: 2, model: {model}, reduce: max, as: video_marks}}}}"
    steps = (
        f"{SHARP}  - keep: video_sharpness_mean >= 100\n  - measure: {marks}\n  - keep: video_marks <= 1\n"
    )
    assert balanced(go(source(tmp_path), steps))
    found = values_of(tmp_path / "out", "video_marks")
    assert 0 <= found["a"] <= 1
    assert found["b"] is None
