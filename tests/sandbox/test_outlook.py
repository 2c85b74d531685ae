"""What an experiment would cost: arms by seeds by hours, as far as it is not done yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.sandbox.workflow.config import Workflow, read_workflow
from sluice.sandbox.workflow.outlook import look_ahead

PROGRAM = {
    "argv": ["train", "{train_data}", "{output_dir}", "{seed}"],
    "gpus": 1,
    "hours": 16,
    "price_per_hour": 2,
}


def planned(measures: int, seeds: list[int], at_once: int = 1, **more: Any) -> Workflow:
    train = {"trainer": {"command": {"program": PROGRAM}}, "seeds": seeds, "at_once": at_once}
    document = {
        "probe": [
            {"hook": "pools", "settings": {"run": "x", "measures": [f"m{n}" for n in range(measures)]}}
        ],
        "execute": [{"hook": "train", "settings": train}],
        **more,
    }
    return read_workflow(yaml.safe_dump(document))


def test_the_budget_of_the_papers_first_experiment(tmp_path: Path) -> None:
    pools, train = look_ahead(planned(21, [42, 45]), tmp_path)
    assert (pools.runs_left, train.runs_left) == (1, (21 * 3 + 1) * 2)
    assert train.gpu_hours_left == 2048
    assert train.cost_left == 4096
    (_, beside) = look_ahead(planned(21, [42, 45], at_once=8), tmp_path)
    assert beside.seconds_left == 2048 * 3600 / 8
    assert not list(tmp_path.iterdir())


def test_what_has_ended_costs_nothing_and_tells_how_long_the_rest_takes(tmp_path: Path) -> None:
    for arm, reason in (("control", ""), ("m0-low", "crashed: exit code 1")):
        place = tmp_path / "jobs/1.execute.train/files/runs" / arm / "seed-1"
        place.mkdir(parents=True)
        (place / "done.json").write_text(json.dumps({"seconds": 60.0, "reason": reason}))
    (_, train) = look_ahead(planned(1, [1, 2]), tmp_path)
    assert (train.outlook.ended, train.runs_left, train.seconds_left) == (2, 6, 360.0)


def test_rounds_count_at_most(tmp_path: Path) -> None:
    repeat = {"max": 3, "phases": ["execute"]}
    (_, train) = look_ahead(planned(1, [1], repeat=repeat), tmp_path)
    assert (train.rounds, train.runs_left) == (3, 12)


def test_an_arm_that_no_pool_has_is_told_before_anything_runs(tmp_path: Path) -> None:
    train = {"trainer": {"command": {"program": PROGRAM}}, "arms": ["m0-hihg"]}
    workflow = planned(1, [1], execute=[{"hook": "train", "settings": train}])
    with pytest.raises(Exception, match=r"no pool is called 'm0-hihg'"):
        look_ahead(workflow, tmp_path)
