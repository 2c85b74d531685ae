"""Pairs the runs of an arm with those of the control by their seeds, and says which have no partner, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sluice.errors import UsageError
from sluice.sandbox.experiment import Score

Runs = Mapping[int, Score]
"""The scores of one arm in one metric, by seed."""


@dataclass(frozen=True)
class Unpaired:
    """A seed that could not be compared; `reason` names the arm that has no value, and why it has none."""

    seed: int
    reason: str


@dataclass(frozen=True, eq=False)
class Pairs:
    """Values of an arm and of the control, seed by seed in ascending order, and the seeds left out."""

    seeds: tuple[int, ...]
    values: NDArray[np.float64]
    control_values: NDArray[np.float64]
    unpaired: tuple[Unpaired, ...]

    @property
    def differences(self) -> NDArray[np.float64]:
        """Arm less control."""
        return self.values - self.control_values

    @property
    def spread(self) -> float | None:
        """Standard deviation of the differences (n - 1); 0 where they differ by rounding alone, None of one pair."""
        if len(self.seeds) < 2:
            return None
        scale = float(np.abs([self.values, self.control_values]).max())
        found = float(self.differences.std(ddof=1))
        return 0.0 if found <= 1e-12 * scale else found


def by_metric_and_arm(scores: Iterable[Score]) -> dict[str, dict[str, dict[int, Score]]]:
    """The scores as metric → arm → seed; `UsageError` where one of them is there twice."""
    found: dict[str, dict[str, dict[int, Score]]] = {}
    for score in scores:
        runs = found.setdefault(score.metric, {}).setdefault(score.arm, {})
        if score.seed in runs:
            raise UsageError(
                f"the table of scores has {score.arm}, seed {score.seed}, {score.metric} twice",
                fix="join each run once",
            )
        runs[score.seed] = score
    return found


def paired(arm: str, runs: Runs, control: str, control_runs: Runs) -> Pairs:
    """The runs of equal seed that both have a value."""
    seeds, unpaired = [], []
    for seed in sorted({*runs, *control_runs}):
        missing = [(name, of.get(seed)) for name, of in ((arm, runs), (control, control_runs))]
        told = "; ".join(f"{name}: {_why(score)}" for name, score in missing if not _has(score))
        if told:
            unpaired.append(Unpaired(seed, told))
        else:
            seeds.append(seed)
    return Pairs(tuple(seeds), _values(runs, seeds), _values(control_runs, seeds), tuple(unpaired))


def _has(score: Score | None) -> bool:
    return score is not None and score.value is not None and math.isfinite(score.value)


def _why(score: Score | None) -> str:
    if score is None:
        return "no run of this seed"
    return score.reason or (f"{score.value} is no number" if score.value is not None else "no value")


def _values(runs: Runs, seeds: list[int]) -> NDArray[np.float64]:
    return np.array([runs[seed].value for seed in seeds], np.float64)
