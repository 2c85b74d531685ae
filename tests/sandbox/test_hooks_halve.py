"""The hook that stops arms early: what was planted is found with fewer runs, and what was stopped gets no verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import loop_data
import pyarrow as pa
import pytest
import yaml

from sluice.errors import TrialError, UsageError
from sluice.sandbox.experiment import scores_of
from sluice.sandbox.export import export
from sluice.sandbox.pools import Pool
from sluice.sandbox.registry import Registry, evaluator, trainer
from sluice.sandbox.train.exported import Exported
from sluice.sandbox.train.judged_at_once import JudgedAtOnce
from sluice.sandbox.train.protocol import Better, Trained
from sluice.sandbox.workflow.blackboard import Blackboard
from sluice.sandbox.workflow.config import read_workflow
from sluice.sandbox.workflow.runner import run_workflow

RAN: list[tuple[str, int]] = []


@trainer
class named:  # noqa: N801 - its name in a workflow
    """A model is the name of its pool; the middle pool's crash."""

    data_format = "sluice"

    def train(self, data: Path, output: Path, *, seed: int, log: Path) -> Trained:
        name = Pool.read(Exported.read(data).data).name
        RAN.append((name, seed))
        if name.endswith("-mid"):
            raise TrialError("crashed: exit code 9")
        (output / "model.json").write_text(json.dumps(name))
        return Trained(output / "model.json", {}, 1, 0.1, 1)


@evaluator
class planted:  # noqa: N801 - its name in a workflow
    """The high pool is better by 1, the low one worse; seeds differ by more than arms do."""

    metrics: ClassVar[Mapping[str, Better]] = {"score": "higher", "loss": "lower"}

    def evaluate(
        self, model: Path, data: Path | None, output: Path, *, seed: int, log: Path
    ) -> dict[str, float]:
        name = json.loads(model.read_text())
        effect = {"high": 1.0, "low": -1.0}.get(name.rpartition("-")[2], 0.0)
        return {"score": 10 * seed + effect + 0.01 * (seed % 3) * (len(name) - 7), "loss": 1.0}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loop_data.captioned_run(tmp_path_factory.mktemp("halved"))


def halved(output: Path, measured: Path, **settings: Any) -> Blackboard:
    given = {"trainer": "named", "evaluator": "planted", "metric": "score", "seeds": 8, **settings}
    workflow = {
        "probe": [{"hook": "pools", "settings": {"run": str(measured), "measures": ["image_width_px"]}}],
        "execute": [{"hook": "halve", "settings": given}],
    }
    known = loop_data.components()
    hooks = [known.get("hook", name) for name in known.names("hook")]
    parts = [named.component, planted.component]  # type: ignore[attr-defined]
    return run_workflow(
        read_workflow(yaml.safe_dump(workflow), "w.yaml", Registry([*hooks, *parts])), output
    ).results


def test_the_best_arm_gets_all_seeds_and_the_verdict(measured: Path, tmp_path: Path) -> None:
    RAN.clear()
    board = halved(tmp_path, measured)
    verdicts = {row["arm"]: row["verdict"] for row in board["comparison"]}
    assert verdicts == {
        "image_width_px-high": "better",
        "image_width_px-low": "no verdict",
        "image_width_px-mid": "no verdict",
    }
    # 3 arms: two seeds for all, four for two of them, eight for one; the control runs all eight.
    assert len(RAN) == len(set(RAN)) == 8 + 3 * 2 + 2 * 2 + 4
    assert board["halved"]["runs"] == len(RAN)
    assert board["halved"]["saved"] == 4 * 8 - len(RAN)
    assert set(board["halved"]["stopped"]) == {"image_width_px-low", "image_width_px-mid"}
    scores = scores_of(board["scores"])
    assert {s.reason for s in scores if s.arm.endswith("-mid")} == {"crashed: exit code 9"}
    assert len(scores) == 2 * len(RAN)


def test_a_killed_job_does_no_run_twice(measured: Path, tmp_path: Path) -> None:
    first = halved(tmp_path, measured)
    RAN.clear()
    (tmp_path / "jobs/1.execute.halve/done.json").unlink()
    again = halved(tmp_path, measured)
    assert RAN == []
    assert again["scores"].equals(first["scores"])
    assert again["comparison"] == first["comparison"]


def test_an_unknown_metric_or_arm_says_so(measured: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tells no metric 'scor'"):
        halved(tmp_path / "a", measured, metric="scor")
    with pytest.raises(UsageError, match="no pool is called"):
        halved(tmp_path / "b", measured, arms=["nothing"])


def test_what_a_killed_arm_left_is_never_anothers_data(measured: Path, tmp_path: Path) -> None:
    class Interrupted(named):
        def train(self, data: Path, output: Path, *, seed: int, log: Path) -> Trained:
            raise KeyboardInterrupt

    pools = {name: Pool(name, pa.array([f"{k:032x}"]), {"run": str(measured)}) for k, name in enumerate("ab")}
    with pytest.raises(KeyboardInterrupt):
        JudgedAtOnce(Interrupted(), planted(), None)(pools["a"], tmp_path, [1])
    # Even one that a kill kept from being taken away.
    export(pools["a"], tmp_path / "a" / "data", "sluice")
    export(pools["a"], tmp_path / "data", "sluice")
    RAN.clear()
    JudgedAtOnce(named(), planted(), None)(pools["b"], tmp_path, [1])
    assert RAN == [("b", 1)]
    assert not (tmp_path / "b" / "data").exists()
