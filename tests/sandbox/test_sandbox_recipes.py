"""The ready experiments run as they are, with stand-ins in the place of the programs that they name."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import loop_data
import pytest

from sluice.recipe.load import loads
from sluice.run import run
from sluice.sandbox.experiment import scores_of
from sluice.sandbox.workflow.blackboard import Blackboard
from sluice.sandbox.workflow.config import load_workflow
from sluice.sandbox.workflow.runner import run_workflow

RECIPES = Path(__file__).resolve().parents[2] / "recipes" / "sandbox"
STAND_INS = Path(__file__).with_name("stand_ins")
VIDEOS = ("moviepy__example_mask.mp4", "torchcodec__h265_video.mp4", "decord__video_0.mov")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the stand-ins where the recipes look for programs."""
    place = tmp_path_factory.mktemp("recipes")
    shutil.copytree(STAND_INS, place / "third-party", ignore=shutil.ignore_patterns("launchers", "README.md"))
    (place / "third-party/LLaMA-Factory").mkdir()  # which is nothing but a launcher
    for target in (place / "third-party").iterdir():
        (target / ".venv/bin").mkdir(parents=True)
        (target / ".venv/bin/python").symlink_to(sys.executable)
        for launcher in (STAND_INS / "launchers").iterdir():
            program = target / ".venv/bin" / launcher.name
            program.write_text(f"#!{sys.executable}\n{launcher.read_text()}")
            program.chmod(0o755)
    textvqa = place / "third-party/MGM/data/MGM-Eval/textvqa"
    textvqa.mkdir(parents=True)
    (textvqa / "llava_textvqa_val_v051_ocr.jsonl").write_text('{"question_id": 1}\n{"question_id": 2}\n')
    (textvqa / "TextVQA_0.5.1_val.json").write_text("{}")
    (place / "third-party/VBench/prompts").mkdir()
    (place / "third-party/VBench/prompts/all_dimension.txt").write_text("a cat\na dog\n")
    (place / "real-frames").mkdir()
    return place


def carried_out(name: str, place: Path, measured: Path, monkeypatch: pytest.MonkeyPatch) -> Blackboard:
    """Run a ready experiment, unchanged, over a measured run."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7")
    monkeypatch.setattr("tempfile.tempdir", str(place))
    (place / "curated").unlink(missing_ok=True)
    (place / "curated").symlink_to(measured)
    workflow = load_workflow(str(RECIPES / f"{name}.yaml"))
    assert workflow.output is not None
    board = run_workflow(workflow, Path(workflow.output)).results
    assert [m["reason"] for m in board["models"].to_pylist()] == [None] * board["models"].num_rows
    assert {s.reason for s in scores_of(board["scores"])} == {""}
    assert {row["verdict"] for row in board["comparison"]} == {"not distinguishable"}
    return board


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loop_data.captioned_run(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    (folder / "in").mkdir()
    for k, name in enumerate(VIDEOS):
        shutil.copy(data_dir / "videos" / name, folder / "in" / f"v{k}.mp4")
        (folder / "in" / f"v{k}.txt").write_text(f"video {k}")
    rules = "source: {path: in}\nsteps:\n  - keep: video_duration_s > 0\nwrite: {path: out}"
    run(loads(rules, source=str(folder / "in")), output=str(folder / "out"), workers=0, quiet=True)
    return folder / "out"


def test_every_recipe_is_proven() -> None:
    proven = {name.removeprefix("test_").removesuffix("_runs").replace("_", "-") for name in globals()}
    # Those that need no other program are proven by test_planted_truth.py.
    assert {path.stem for path in RECIPES.glob("*.yaml") if not path.stem.startswith("proxy-")} <= proven


def test_mini_gemini_runs(place: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = carried_out("mini-gemini", place, pictures, monkeypatch)
    found = {(s.metric, s.seed): s.value for s in scores_of(board["scores"]) if s.arm == "control"}
    samples = board["models"].to_pylist()[0]["samples"]
    assert found["textvqa_accuracy", 2] == samples
    assert found["mmbench_dev", 2] == pytest.approx((samples + 0.02) / 100)
    assert found["mme_perception", 3] == pytest.approx(samples + 0.03)
    assert found["mme_reasoning", 3] == pytest.approx((samples + 0.03) / 2)
    assert {s.value for s in scores_of(board["training"])} == {1 / samples}


@pytest.mark.slow
def test_llama_factory_runs(place: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = carried_out("llama-factory", place, pictures, monkeypatch)
    assert set(board["better"]) == {"mmbench_dev", "mme_perception", "mme_reasoning"}
    assert board["models"].num_rows == len(list(board["pools"].iterdir())) * 3


def test_easyanimate_runs(place: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = carried_out("easyanimate", place, clips, monkeypatch)
    found = {(s.metric, s.seed): s.value for s in scores_of(board["scores"]) if s.arm == "control"}
    assert found["subject_consistency", 42] == pytest.approx(0.01 + 0.0042)
    assert found["fvd", 45] == 110.5
    assert len(board["better"]) == 17
    assert board["better"]["fvd"] == "lower"
    assert {m["samples_seen"] for m in board["models"].to_pylist()} == {40000}
    note = json.loads((place / "experiments/easyanimate/jobs/1.execute.train/job.json").read_text())
    assert note["settings"]["seeds"] == [42, 45]


@pytest.mark.slow
def test_t2v_turbo_runs(place: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = carried_out("t2v-turbo", place, clips, monkeypatch)
    assert len(board["better"]) == 16
