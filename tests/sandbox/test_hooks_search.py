"""The hook that searches thresholds and mixtures: it finds what was planted, and what fails says why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import loop_data
import pytest
import yaml

from sluice.errors import RunError, TrialError, UsageError
from sluice.sandbox.pools import Pool
from sluice.sandbox.registry import Registry, evaluator, trainer
from sluice.sandbox.train.exported import Exported
from sluice.sandbox.train.protocol import Better, Trained
from sluice.sandbox.workflow.blackboard import Blackboard
from sluice.sandbox.workflow.config import read_workflow
from sluice.sandbox.workflow.runner import run_workflow


@trainer
class learning:  # noqa: N801 - its name in a workflow
    """A model is what its pool came from; it diverges below a threshold of 22, or where a file `broken` lies."""

    data_format = "sluice"

    def __init__(self, *, broken: Path | None = None) -> None:
        self.broken = broken

    def train(self, data: Path, output: Path, *, seed: int, log: Path) -> Trained:
        origin = Pool.read(Exported.read(data).data).origin
        (output / "model.json").write_text(json.dumps(origin))
        wrong = "loss is NaN" if origin.get("thresholds", {}).get("image_width_px.low", 99) < 22 else None
        with log.open("a") as file:
            file.write("trained\n")
        if self.broken is not None and self.broken.exists() and seed == 3:
            raise TrialError("no device")
        return Trained(output / "model.json", {}, 1, 0.1, 1, wrong)


@evaluator
class knowing:  # noqa: N801 - its name in a workflow
    """Best at a threshold of 30, and at a quarter of the low pool."""

    metrics: ClassVar[Mapping[str, Better]] = {"score": "higher"}

    def evaluate(
        self, model: Path, data: Path | None, output: Path, *, seed: int, log: Path
    ) -> dict[str, float]:
        origin = json.loads(model.read_text())
        if origin["kind"] == "mixture":
            return {"score": -abs(origin["weights"].get("image_width_px-low", 0.0) - 0.25) + seed / 1000}
        return {"score": -abs(origin["thresholds"]["image_width_px.low"] - 30.0) + seed / 1000}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loop_data.captioned_run(tmp_path_factory.mktemp("search"))


def searched(output: Path, measured: Path, *, retry_failed: bool = False, **settings: Any) -> Blackboard:
    pools = {"hook": "pools", "settings": {"run": str(measured), "measures": ["image_width_px"]}}
    given = {"trainer": "learning", "evaluator": "knowing", "metric": "score", "seeds": [1, 3], **settings}
    workflow = {
        "probe": [{**pools, "gives": {"pools": "drawn"}}],
        "refine": [{"hook": "search", "takes": {"pools": "drawn"}, "settings": given}],
    }
    known = loop_data.components()
    parts = [learning.component, knowing.component]  # type: ignore[attr-defined]
    names = [known.get("hook", name) for name in known.names("hook")]
    planned = read_workflow(yaml.safe_dump(workflow), "w.yaml", Registry([*names, *parts]))
    return run_workflow(planned, output, retry_failed=retry_failed).results


def test_it_finds_the_planted_threshold_and_writes_the_pool(measured: Path, tmp_path: Path) -> None:
    board = searched(
        tmp_path,
        measured,
        run=str(measured),
        size=6,
        trials=14,
        thresholds={"image_width_px": {"low": [20, 42]}},
    )
    found = board["found"]
    assert found["trials"] == 14
    rows = board["trials"].to_pylist()
    for row in rows:
        low = row["image_width_px.low"]
        if low < 22:
            assert row["reason"] == "seed 1: diverged: loss is NaN"
        elif low > 38:
            assert row["reason"].startswith("too few samples: ")
        else:
            assert row["score"] == pytest.approx(-abs(low - 30) + 0.002)
    assert found["failed"] == sum(row["score"] is None for row in rows)
    assert found["best"]["score"] == max(row["score"] for row in rows if row["score"] is not None)
    assert abs(found["best"]["values"]["image_width_px.low"] - 30) < 2
    pool = Pool.read(board["pools"] / "searched.parquet")
    assert len(pool) == 6
    assert pool.origin["thresholds"] == found["best"]["values"]


def test_it_finds_the_planted_mixture(measured: Path, tmp_path: Path) -> None:
    names = ["image_width_px-low", "image_width_px-high"]
    board = searched(tmp_path, measured, size=8, trials=12, mixture=names)
    best = board["found"]["best"]
    assert sum(best["values"].values()) == pytest.approx(1)
    assert abs(best["values"]["image_width_px-low"] - 0.25) < 0.15
    assert len(Pool.read(board["pools"] / "searched.parquet")) == 8


def test_what_gave_no_result_is_tried_again_where_asked(measured: Path, tmp_path: Path) -> None:
    """A device is missing for one seed of each choice; then it is there."""
    (tmp_path / "broken").touch()
    settings: dict[str, Any] = {
        "run": str(measured), "size": 6, "trials": 6, "thresholds": {"image_width_px": {"low": [22, 44]}},
        "trainer": {"learning": {"broken": str(tmp_path / "broken")}},
    }  # fmt: skip
    before = searched(tmp_path / "e", measured, **settings)
    rows = before["trials"].to_pylist()
    few = [row for row in rows if row["reason"].startswith("too few samples")]
    assert {row["reason"] for row in rows if row not in few} == {"seed 3: no device"}
    assert before["found"]["best"] is None
    (tmp_path / "broken").unlink()
    after = searched(tmp_path / "e", measured, retry_failed=True, **settings)
    again = after["trials"].to_pylist()
    assert [row["reason"] for row in again] == [row["reason"] for row in few] + [None] * (6 - len(few))
    lows = [row["image_width_px.low"] for row in rows if row not in few]
    assert [row["image_width_px.low"] for row in again[len(few) :]] == lows
    assert after["found"]["best"]["score"] == max(row["score"] for row in again[len(few) :])
    assert before["trials"].schema == after["trials"].schema
    # What gave a result was not done again.
    logs = (tmp_path / "e/jobs/1.refine.search/files/runs").glob("*/seed-1/log.txt")
    assert {log.read_text() for log in logs} == {"trained\n"}


def test_what_cannot_be_searched_says_so(measured: Path, tmp_path: Path) -> None:
    for number, (settings, told) in enumerate(
        [
            ({"metric": "scor", "mixture": ["control"]}, "tells no metric 'scor'"),
            ({}, "over thresholds, or over a mixture"),
            ({"mixture": ["nothing"]}, "no pool is called 'nothing'"),
            ({"thresholds": {"image_width_px": {"low": [1, 2]}}}, "no run whose thresholds"),
        ]
    ):
        with pytest.raises((UsageError, RunError), match=told):
            searched(tmp_path / str(number), measured, size=4, trials=1, **settings)
