"""The whole workflow finds the truth that was planted: probe, refine, execute, evaluate on captioned shapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.errors import UsageError
from sluice.recipe.load import load
from sluice.sandbox.hooks.captioned_shapes import captioned_shapes
from sluice.sandbox.workflow.blackboard import Blackboard
from sluice.sandbox.workflow.config import load_workflow, read_workflow
from sluice.sandbox.workflow.job import Job
from sluice.sandbox.workflow.runner import run_workflow

RECIPES = Path(__file__).resolve().parents[2] / "recipes" / "sandbox"


def job(folder: Path) -> Job:
    files = folder / "files"
    files.mkdir(exist_ok=True)
    return Job("captioned_shapes", files, folder)


def carried_out(name: str, changes: dict[str, str]) -> Blackboard:
    """Run a ready experiment with less in it, below the working folder."""
    text = (RECIPES / f"{name}.yaml").read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return run_workflow(read_workflow(text), Path("experiment")).results


def test_shapes_are_made_once_with_a_recipe_that_measures_them(tmp_path: Path) -> None:
    settings = {"folder": tmp_path / "shapes", "count": 9, "held_out": 4, "noisy": 0.34}
    given = captioned_shapes(job(tmp_path), **settings)

    train, held_out = tmp_path / "shapes/train", tmp_path / "shapes/held-out"
    assert (len(list(train.iterdir())), len(list(held_out.iterdir()))) == (27, 12)
    recipe = load(given["recipes"])
    assert recipe.source.path == str(train)
    before = {path: path.stat().st_mtime_ns for path in train.iterdir()}
    captioned_shapes(job(tmp_path), **settings)
    assert before == {path: path.stat().st_mtime_ns for path in train.iterdir()}
    with pytest.raises(UsageError, match="something else lies here"):
        captioned_shapes(job(tmp_path), **{**settings, "noisy": 0.0})


def test_the_ready_experiments_are_of_eight_seeds_in_four_phases() -> None:
    for name in ("proxy-image-text", "proxy-text-to-video"):
        workflow = load_workflow(str(RECIPES / f"{name}.yaml"))
        assert {planned.phase for planned in workflow.jobs} == {"probe", "refine", "execute", "evaluate"}
        (train,) = (planned for planned in workflow.jobs if planned.hook.name == "train")
        assert train.settings["seeds"] == tuple(range(1, 9))


@pytest.mark.slow
def test_shuffled_captions_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = carried_out(
        "proxy-image-text",
        {"seeds: 8": "seeds: 4", "[caption_agreement-low, caption_agreement-high]": '["*-low"]'},
    )
    assert {(row["arm"], row["verdict"]) for row in found["comparison"]} == {
        ("caption_agreement-low", "worse")
    }
    assert found["thresholds"]["kept"] == pytest.approx(0.66, abs=0.01)
    assert not any(row["reason"] for row in found["models"].to_pylist())


@pytest.mark.slow
def test_noise_in_videos_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = carried_out("proxy-text-to-video", {"seeds: 8": "seeds: 4"})
    assert {(row["arm"], row["verdict"]) for row in found["comparison"]} == {("video_noise-high", "worse")}
    assert not any(row["reason"] for row in found["models"].to_pylist())
