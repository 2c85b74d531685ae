"""Experiments in which much goes wrong: failures are told and counted, and the rest is compared as if alone."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import loop_data
import pytest
import yaml

from sluice.sandbox.experiment import scores_of
from sluice.sandbox.workflow.blackboard import Blackboard
from sluice.sandbox.workflow.config import read_workflow
from sluice.sandbox.workflow.runner import run_workflow

UNSTEADY = str(Path(__file__).with_name("unsteady.py"))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loop_data.captioned_run(tmp_path_factory.mktemp("loop"))


def document(measured: Path, hows: list[str], **train: Any) -> dict[str, Any]:
    """An experiment in which the seeds go these ways."""
    trainer = {
        "program": {
            "argv": ["{python}", UNSTEADY, "train", *hows, "{train_data}", "{output_dir}", "{seed}"],
            "timeout_s": 20,
        },
        "data_format": "llava",
        "model": "{output_dir}/model.json",
        "results": {"format": "regex", "metrics": {"loss": "^loss: (.*)$"}},
    }
    evaluator = {
        "program": {"argv": ["{python}", UNSTEADY, "judge", "{model}"]},
        "results": {"format": "regex", "metrics": {"score": "^score: (.*)$"}},
        "better": {"score": "higher"},
    }
    pools = {"run": str(measured), "measures": ["image_width_px"]}
    settings = {"trainer": {"command": trainer}, "seeds": len(hows), **train}
    return {
        "probe": [{"hook": "pools", "settings": pools}],
        "execute": [{"hook": "train", "settings": settings}],
        "evaluate": [
            {"hook": "evaluate_model", "settings": {"evaluator": {"command": evaluator}}},
            {"hook": "compare"},
        ],
    }


REASONS = {
    "crash": "crashed: exit code 1",
    "hang": "hung: no end after 8 s",
    "kill": "killed: signal 9",
    "full": "crashed: exit code 1 (disk full)",
    "nothing": "no result: there is no loss",
    "nan": "diverged: loss is nan",
    "words": "wrong result: loss is 'low', not a number",
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no full disk")
def test_every_way_to_go_wrong_leaves_the_rest_comparable(measured: Path, tmp_path: Path) -> None:
    hows = [*REASONS, "well", "well", "well"]
    wanted = document(measured, hows, at_once=4, arms=["*-high"])
    wanted["execute"][0]["settings"]["trainer"]["command"]["program"]["timeout_s"] = 8
    board = run_workflow(read_workflow(yaml.safe_dump(wanted)), tmp_path).results
    found = {s.seed: s for s in scores_of(board["scores"]) if s.arm == "control"}
    assert [found[k + 1].reason for k in range(len(REASONS))] == list(REASONS.values())
    assert [found[k].value is None for k in sorted(found)] == [True] * len(REASONS) + [False] * 3
    (row,) = board["comparison"]
    assert (row["seeds"], row["n"]) == ([8, 9, 10], 3)
    assert [u["seed"] for u in row["unpaired"]] == list(range(1, 8))
    assert "control: hung: no end after 8 s" in row["unpaired"][1]["reason"]


def test_one_seed_gives_no_p_value_and_says_why(measured: Path, tmp_path: Path) -> None:
    wanted = document(measured, ["well", "crash"], arms=["*-high"])
    board = run_workflow(read_workflow(yaml.safe_dump(wanted)), tmp_path).results
    (row,) = board["comparison"]
    assert (row["verdict"], row["p"], row["low"]) == ("no verdict", None, None)
    assert row["why"] == "one pair: 2 seeds or more are needed for a p-value"
    assert board["verdict"] == {
        "metric": "score", "arm": None, "gain": 0.0, "low": None, "high": None, "verdict": "no verdict"
    }  # fmt: skip


def test_no_seed_at_all_is_no_verdict(measured: Path, tmp_path: Path) -> None:
    wanted = document(measured, ["crash", "crash"], arms=["*-high"])
    board = run_workflow(read_workflow(yaml.safe_dump(wanted)), tmp_path).results
    (row,) = board["comparison"]
    assert (row["n"], row["verdict"]) == (0, "no verdict")
    assert row["why"] == "no seed has a value in both the arm and the control"


def test_what_gave_no_result_is_tried_again_where_asked(measured: Path, tmp_path: Path) -> None:
    """The first try of a run finds no room for its model; then there is room."""
    program = tmp_path / "train.py"
    program.write_text(
        Path(UNSTEADY).read_text().replace("hows[seed - 1]", "'full' if seed == 2 else 'well'")
    )
    wanted = document(measured, ["well", "well"], arms=["*-high"])
    wanted["execute"][0]["settings"]["trainer"]["command"]["program"]["argv"][1] = str(program)
    workflow = read_workflow(yaml.safe_dump(wanted))
    assert run_workflow(workflow, tmp_path / "out").results["comparison"][0]["n"] == 1
    assert run_workflow(workflow, tmp_path / "out").ran == ()
    program.write_text(Path(UNSTEADY).read_text())
    said: list[str] = []
    again = run_workflow(workflow, tmp_path / "out", retry_failed=True, say=said.append)
    assert said[0] == "4 runs without a result are tried again"  # two models, and their two judgements
    assert (again.ran, again.found) == (("train", "evaluate_model", "compare"), ("pools",))
    assert again.results["comparison"][0]["n"] == 2
    assert "execute: train: 2 of 4 were done before" in said


def tables(output: Path) -> dict[str, Any]:
    """What an experiment found, without what time and place leave their mark on."""
    board = Blackboard.read(output)
    models = board["models"].select(["arm", "seed", "model", "reason", "samples", "samples_seen"])
    return {
        "models": models.to_pylist(),
        **{name: board[name].to_pylist() for name in ("scores", "training")},
        **{name: board[name] for name in ("comparison", "verdict", "noise", "better")},
        "pools": {file.name: file.read_bytes() for file in sorted(board["pools"].iterdir())},
    }


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_in_the_same_tables(measured: Path, tmp_path: Path) -> None:
    hows = ["slow", "slow", "crash", "slow"]
    (tmp_path / "w.yaml").write_text(yaml.safe_dump(document(measured, hows, at_once=2)))
    command = [sys.executable, "-m", "sluice", "sandbox", "run", "w.yaml", "--quiet", "--output"]
    started = time.monotonic()
    assert subprocess.run([*command, "whole"], cwd=tmp_path, check=False).returncode == 0
    took = time.monotonic() - started
    draw, kills = random.Random(7), 0
    while kills < 10:
        process = subprocess.Popen([*command, "killed"], cwd=tmp_path, start_new_session=True)
        try:
            process.wait(draw.uniform(0.5, 0.4 * took))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, 9)
            process.wait()
            kills += 1
        else:
            # It was done sooner than it was killed: what it found is forgotten, a job or all of them.
            assert process.returncode == 0
            folders = sorted((tmp_path / "killed/jobs").iterdir(), key=lambda f: f.stat().st_mtime)
            for folder in folders[draw.randrange(len(folders)) :]:
                (folder / "done.json").unlink()
    assert subprocess.run([*command, "killed"], cwd=tmp_path, check=False).returncode == 0
    assert tables(tmp_path / "killed") == tables(tmp_path / "whole")
