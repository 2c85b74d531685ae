"""Searches: the best of what was tried, the same after a kill, within a budget."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from sluice.errors import TrialError, UsageError
from sluice.sandbox.refine.search import Knob, Tried, search

KNOBS = {"x": Knob(-4, 4), "n": Knob(1, 9, whole=True), "rate": Knob(1e-4, 1.0, log=True)}


def valley(values: Mapping[str, float]) -> float:
    return (values["x"] - 1) ** 2 + abs(values["n"] - 3)


def test_it_finds_the_valley_and_repeats_itself(tmp_path: Path) -> None:
    found = search(valley, KNOBS, file=tmp_path / "a.sqlite", better="lower", trials=24, seed=3)
    again = search(valley, KNOBS, file=tmp_path / "b.sqlite", better="lower", trials=24, seed=3)
    assert found == again
    assert len(found.tried) == 24
    assert found.best is not None
    assert found.best.value == min(t.value for t in found.tried if t.value is not None)
    assert found.best.value < 1.2
    assert all(t.values["n"] == int(t.values["n"]) for t in found.tried)
    higher = search(valley, KNOBS, file=tmp_path / "c.sqlite", better="higher", trials=8, seed=3)
    assert higher.best is not None
    assert higher.best.value == max(t.value for t in higher.tried if t.value is not None)


def test_a_failed_trial_keeps_its_reason_and_counts(tmp_path: Path) -> None:
    def sometimes(values: Mapping[str, float]) -> float:
        if values["x"] < 0:
            raise TrialError("diverged: loss is NaN")
        return values["x"]

    found = search(sometimes, {"x": Knob(-1, 1)}, file=tmp_path / "s", better="higher", trials=12)
    reasons = {t.reason for t in found.tried if t.value is None}
    assert reasons == {"diverged: loss is NaN"}
    assert len(found.tried) == 12
    assert found.best is not None
    none = search(
        lambda v: sometimes({"x": -1}), {"x": Knob(-1, 1)}, file=tmp_path / "n", better="lower", trials=2
    )
    assert none.best is None


def test_a_spent_budget_ends_it_and_the_same_call_goes_on(tmp_path: Path) -> None:
    def slow(values: Mapping[str, float]) -> float:
        time.sleep(0.2)
        return values["x"]

    said: list[str] = []
    file = tmp_path / "s"
    part = search(slow, {"x": Knob(0, 1)}, file=file, better="lower", trials=9, budget_s=0.3, say=said.append)
    assert 1 <= len(part.tried) <= 2
    assert "budget" in said[-1]
    whole = search(lambda v: v["x"], {"x": Knob(0, 1)}, file=file, better="lower", trials=9)
    assert whole.tried[: len(part.tried)] == part.tried
    with pytest.raises(UsageError, match="nothing to search"):
        search(slow, {}, file=tmp_path / "e", better="lower", trials=1)


def test_a_failure_that_stands_no_longer_is_tried_again_with_the_same_values(tmp_path: Path) -> None:
    mended = False
    tried: list[float] = []

    def objective(values: Mapping[str, float]) -> float:
        tried.append(values["n"])
        if values["n"] > 2 or (values["n"] == 2 and not mended):
            raise TrialError("no memory" if values["n"] == 2 else "too large")
        return values["n"]

    def found(trials: int) -> tuple[Tried, ...]:
        stands = (lambda values: values["n"] != 2) if mended else (lambda values: True)
        knobs = {"n": Knob(1, 3, whole=True)}
        file = tmp_path / "s"
        return search(objective, knobs, file=file, better="higher", trials=trials, stands=stands).tried

    before = found(12)
    assert {t.reason for t in before} == {"", "no memory", "too large"}
    assert found(12) == before
    assert len(tried) == 12
    mended = True
    after = found(12)
    failed = [t for t in before if t.reason == "no memory"]
    assert tried[12:] == [2] * len(failed)
    assert after == (*(t for t in before if t not in failed), *[Tried({"n": 2}, 2.0)] * len(failed))
    assert found(12) == after


def test_a_study_about_something_else_is_begun_anew(tmp_path: Path) -> None:
    def found(about: str, slope: float) -> list[float | None]:
        tried = search(
            lambda v: slope * v["x"],
            {"x": Knob(0, 1)},
            file=tmp_path / "s",
            about=about,
            better="lower",
            trials=3,
        ).tried
        return [t.value for t in tried]

    first = found("these pools", 1.0)
    assert found("these pools", 9.0) == first
    assert found("other pools", 2.0)[0] == 2 * (first[0] or 0)


SCRIPT = """
import sys, time
from pathlib import Path
from sluice.sandbox.refine.search import Knob, search

def objective(values):
    time.sleep(0.05)
    return (values["x"] - 1) ** 2

print("ready", flush=True)
search(objective, {"x": Knob(-4, 4)}, file=Path(sys.argv[1]), better="lower", trials=9, seed=5,
       say=lambda text: print(text, flush=True))
"""


def test_killed_at_any_trial_it_tries_the_same_values(tmp_path: Path) -> None:
    def objective(values: Mapping[str, float]) -> float:
        return (values["x"] - 1) ** 2

    def whole(file: Path) -> tuple[Tried, ...]:
        return search(objective, {"x": Knob(-4, 4)}, file=file, better="lower", trials=9, seed=5).tried

    file = tmp_path / "killed"
    for lines in (3, 4):
        with subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(file)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        ) as process:
            assert process.stdout is not None
            for _ in range(lines):
                process.stdout.readline()
            time.sleep(0.03)
            process.send_signal(signal.SIGKILL)
    assert whole(file) == whole(tmp_path / "whole")
