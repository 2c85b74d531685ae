"""The comparison of an experiment's arms: paired, corrected, and silent where nothing can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sluice.errors import UsageError
from sluice.sandbox.experiment import Score, score_table, scores_of
from sluice.sandbox.hooks.compare import compare
from sluice.sandbox.workflow.job import Job

NOISE = (0.1, -0.1, 0.05, -0.05, 0.12, -0.12, 0.02, -0.02)
OTHER = (0.03, 0.08, -0.07, 0.02, -0.09, 0.05, -0.03, 0.01)


def table(better_by: float = 1.0, seeds: int = 8, metric: str = "acc", **lost: int) -> pa.Table:
    """A control, a second one, an arm that is better and one that is not; `lost` are seeds without a value."""
    found = []
    for k in range(seeds):
        for arm, value in (
            ("control", 10 + NOISE[k]),
            ("control-2", 10 + OTHER[k]),
            ("good", 10 + better_by + OTHER[k] / 2 + NOISE[k]),
            ("same", 10 + OTHER[-k - 1]),
        ):
            gone = lost.get(arm) == k + 1
            found.append(Score(arm, k + 1, metric, None if gone else value, "crashed: x" if gone else ""))
    return score_table(found)


def compared(scores: pa.Table, **settings: Any) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []
    given = {"better": {"acc": "higher"}, **settings}
    return compare(Job("compare", Path("/x/jobs/c/files"), say=said.append), scores, **given), said


def test_the_better_arm_is_found_and_the_other_is_not_ranked() -> None:
    found, said = compared(table())
    rows = {row["arm"]: row for row in found["comparison"]}
    assert set(rows) == {"good", "same"}
    assert rows["good"]["verdict"] == "better"
    assert rows["same"]["verdict"] == "not distinguishable"
    verdict = found["verdict"]
    assert (verdict["arm"], verdict["metric"], verdict["verdict"]) == ("good", "acc", "better")
    assert verdict["low"] < 1.0 < verdict["high"]
    assert verdict["gain"] == pytest.approx(rows["good"]["mean"])
    (noise,) = found["noise"]
    assert noise["again"] == "control-2"
    assert "acc: 1 better, 1 not distinguishable" in said


def test_lower_is_better_turns_the_gain_around() -> None:
    found, _ = compared(table(-1.0), better={"acc": "lower"})
    verdict = found["verdict"]
    assert verdict["verdict"] == "better"
    assert 0 < verdict["low"] < verdict["gain"] < verdict["high"]


def test_nothing_to_tell_is_a_gain_of_nothing() -> None:
    verdict = compared(table(0.0))[0]["verdict"]
    assert (verdict["gain"], verdict["arm"], verdict["verdict"]) == (0.0, None, "not distinguishable")
    alone = compared(table(seeds=1))[0]
    assert alone["verdict"]["verdict"] == "no verdict"
    assert {row["why"] for row in alone["comparison"]} == {
        "one pair: 2 seeds or more are needed for a p-value"
    }


def test_seeds_without_a_value_are_said_and_not_averaged_over() -> None:
    found, said = compared(table(good=3, control=5))
    row = next(row for row in found["comparison"] if row["arm"] == "good")
    assert row["n"] == 6
    assert {(u["seed"]) for u in row["unpaired"]} == {3, 5}
    assert any("good: seed 3 left out" in line and "crashed: x" in line for line in said)


def test_the_relative_change_and_composites_are_metrics(tmp_path: Path) -> None:
    both = score_table([*scores_of(table()), *scores_of(table(2.0, metric="bcc"))])
    way = {"acc": "higher", "bcc": "higher"}
    found, _ = compared(both, better=way, change=("acc", "bcc"))
    assert {row["metric"] for row in found["comparison"]} == {"change"}
    assert found["verdict"]["gain"] == pytest.approx(0.15, abs=0.01)
    declared = tmp_path / "mean.yaml"
    declared.write_text("composites: {mean: {of: {acc: 1, bcc: 1}}}")
    found, _ = compared(both, better=way, composites=(str(declared),))
    assert {row["metric"] for row in found["comparison"]} == {"mean"}
    assert found["verdict"]["gain"] == pytest.approx(1.5, abs=0.1)
    assert "mean" in {s.metric for s in scores_of(found["scores"])}
    found, _ = compared(both, better=way, metrics=("bcc",))
    assert {row["metric"] for row in found["comparison"]} == {"bcc"}


def test_what_cannot_be_compared_is_told() -> None:
    with pytest.raises(UsageError, match="did you mean `acc`"):
        compared(table(), metrics=("ac",))
    with pytest.raises(UsageError, match="there is no arm 'kontrol'"):
        compared(table(), control="kontrol")
    with pytest.raises(UsageError, match="there are no scores of 'fvd'"):
        compared(table(), ways={"fvd": "lower"})


def test_the_plan_tells_what_could_be_found() -> None:
    settings = compare.component.checked({})  # type: ignore[attr-defined]
    outlook = compare.component.outlook  # type: ignore[attr-defined]
    job = Job("compare", Path("/x/jobs/c/files"))
    (note,) = outlook(job, {"scores": table()}, settings).notes
    assert note.startswith(
        "8 seeds, 2 arms, 1 metric: at 0.05 / 2 a paired t-test finds, with 80 % power, a true"
    )
    (note,) = outlook(job, {"scores": table(seeds=1)}, settings).notes
    assert "nothing: two seeds are the least" in note
    assert outlook(job, {}, settings).notes == ()
