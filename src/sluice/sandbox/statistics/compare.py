"""Compares every arm with the control, and says of each "better", "worse" or "not distinguishable"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from sluice.errors import UsageError
from sluice.recipe.nearest import did_you_mean
from sluice.sandbox.experiment import Score
from sluice.sandbox.statistics.correction import Correction, adjusted
from sluice.sandbox.statistics.pairs import Pairs, Unpaired, by_metric_and_arm, paired
from sluice.sandbox.statistics.relative import relative_change
from sluice.sandbox.statistics.significance import Interval, Test, flipped_p_value, interval, p_value
from sluice.sandbox.train.protocol import Better

Verdict = Literal["better", "worse", "not distinguishable", "no verdict"]


@dataclass(frozen=True)
class Comparison:
    """One arm against the control in one metric.

    `mean`, `sd` (n - 1) and the interval `low` to `high` are of the paired differences, arm less control, in the
    metric's unit; the interval holds for this comparison alone, `p_adjusted` for the whole family. `change` is the
    relative change (equation 3) over the paired seeds, `effect_size` Cohen's d_z, mean / SD. What cannot be told is
    None, and `why` says why. `unpaired` are the seeds left out, each with its reason.
    """

    arm: str
    metric: str
    better: Better
    seeds: tuple[int, ...] = ()
    unpaired: tuple[Unpaired, ...] = ()
    mean: float | None = None
    sd: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    effect_size: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    why: str = ""
    verdict: Verdict = "no verdict"

    @property
    def n(self) -> int:
        """How many pairs there are."""
        return len(self.seeds)

    @property
    def gain(self) -> float | None:
        """The mean difference, positive where the arm is better."""
        return self.mean if self.mean is None or self.better == "higher" else -self.mean

    @property
    def ends(self) -> tuple[float, float] | None:
        """The interval of the gain, so that more is better; None where there is none."""
        if self.low is None or self.high is None:
            return None
        return (self.low, self.high) if self.better == "higher" else (-self.high, -self.low)

    def row(self) -> dict[str, Any]:
        """As JSON data, with `n`; `from_row` reads it back."""
        return {**asdict(self), "n": self.n}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Comparison:
        """The comparison that `row` described."""
        kept = {name: value for name, value in row.items() if name != "n"}
        kept["seeds"] = tuple(kept["seeds"])
        kept["unpaired"] = tuple(Unpaired(**each) for each in kept["unpaired"])
        return cls(**kept)


def compare(
    scores: Iterable[Score],
    *,
    control: str = "control",
    better: Mapping[str, Better],
    alpha: float = 0.05,
    correction: Correction = "holm",
    test: Test = "t",
    intervals: Interval = "t",
    stopped: Sequence[str] = (),
    seed: int = 0,
) -> list[Comparison]:
    """Every arm but the control in every metric of `better`, which tells the way that is better.

    All of them are one family: a metric that is only looked at belongs in a comparison of its own. Arms in `stopped`
    were given up early: they get no verdict, and still count in the correction. Intervals are at 1 - `alpha`;
    `seed` is for what is drawn (bootstrap, many sign flips). `UsageError` where the control or a metric is unknown.
    """
    known = by_metric_and_arm(scores)
    found = []
    for metric, way in better.items():
        if metric not in known:
            raise UsageError(f"there are no scores of {metric!r}", fix=did_you_mean(metric, known, "metrics"))
        arms = known[metric]
        if control not in arms:
            raise UsageError(f"there is no arm {control!r}", fix=did_you_mean(control, arms, "arms"))
        for arm in arms:
            if arm != control:
                pairs = paired(arm, arms[arm], control, arms[control])
                found.append(
                    _described(Comparison(arm, metric, way), pairs, test, intervals, 1 - alpha, seed)
                )
    return _judged(found, alpha, correction, set(stopped))


def _described(
    of: Comparison, pairs: Pairs, test: Test, intervals: Interval, level: float, seed: int
) -> Comparison:
    of = replace(of, seeds=pairs.seeds, unpaired=pairs.unpaired)
    if not pairs.seeds:
        return replace(of, why="no seed has a value in both the arm and the control")
    differences, sd = pairs.differences, pairs.spread
    of = replace(of, mean=float(differences.mean()), sd=sd, change=_change(pairs))
    if sd is None:
        return replace(of, why="one pair: 2 seeds or more are needed for a p-value")
    if sd == 0:
        # A t-test would divide by 0 and be sure of anything; sign flips hold whatever the spread.
        p = flipped_p_value(differences, seed) if abs(float(differences.mean())) > _noise(pairs) else 1.0
        return replace(
            of, p=p, why="all differences are equal: no interval, and the p-value is by sign flips"
        )
    low, high = interval(differences, intervals, level, seed)
    p = p_value(differences, test, seed)
    least = 2 / 2**of.n
    why = (
        f"by permutation {of.n} pairs never come below p = {least:g}" if _too_few(test, least, level) else ""
    )
    effect = float(differences.mean()) / sd
    return replace(of, low=low, high=high, p=p, effect_size=effect, why=why)


def _noise(pairs: Pairs) -> float:
    """Below this a difference is rounding."""
    return 1e-12 * float(abs(pairs.control_values).max())


def _too_few(test: Test, least: float, level: float) -> bool:
    return test == "permutation" and least > 1 - level


def _change(pairs: Pairs) -> float | None:
    try:
        return relative_change(pairs.values.tolist(), pairs.control_values.tolist())
    except UsageError:
        return None


def _judged(
    found: list[Comparison], alpha: float, correction: Correction, stopped: set[str]
) -> list[Comparison]:
    tested = [c for c in found if c.p is not None and c.arm not in stopped]
    # What gave no p-value was meant to: it counts, as those that were stopped do.
    ps = adjusted([c.p for c in tested if c.p is not None], correction, more=len(found) - len(tested))
    verdicts = {
        (c.arm, c.metric): replace(c, p_adjusted=p, verdict=_verdict(c, p, alpha))
        for c, p in zip(tested, ps, strict=True)
    }
    return [verdicts.get((c.arm, c.metric), _stopped(c) if c.arm in stopped else c) for c in found]


def _stopped(of: Comparison) -> Comparison:
    return replace(of, p=None, why=f"stopped after {of.n} pairs: others were ahead")


def _verdict(of: Comparison, p: float, alpha: float) -> Verdict:
    if p > alpha or not of.gain:
        return "not distinguishable"
    return "better" if of.gain > 0 else "worse"


@dataclass(frozen=True)
class Order:
    """The arms of one metric by what is known of them; only those that differ from the control have an order.

    `better` and `worse` are by falling gain; whether two of them differ from each other was not tested.
    `not_distinguishable` and `no_verdict` are in the order of the alphabet, which says nothing.
    """

    better: tuple[Comparison, ...]
    not_distinguishable: tuple[Comparison, ...]
    worse: tuple[Comparison, ...]
    no_verdict: tuple[Comparison, ...]


def order(comparisons: Iterable[Comparison], metric: str) -> Order:
    """The comparisons of a metric, in the order that may be told."""
    of = sorted((c for c in comparisons if c.metric == metric), key=lambda c: c.arm)

    def ranked(verdict: Verdict) -> tuple[Comparison, ...]:
        return tuple(sorted((c for c in of if c.verdict == verdict), key=lambda c: -(c.gain or 0.0)))

    def unranked(verdict: Verdict) -> tuple[Comparison, ...]:
        return tuple(c for c in of if c.verdict == verdict)

    return Order(ranked("better"), unranked("not distinguishable"), ranked("worse"), unranked("no verdict"))
