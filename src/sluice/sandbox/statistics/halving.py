"""Successive halving: give most seeds to the arms that are ahead, and still be as rarely wrong as promised.

Why it is honest: an arm is called better or worse only by a test of all its seeds, corrected for all arms that
began. The p-value of an arm that was stopped counts as 1, which is never less than what its test would have given,
so Holm's bound holds whatever decided who stops. What is lost are arms stopped by bad luck, never the error rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sluice.errors import UsageError
from sluice.sandbox.experiment import Score
from sluice.sandbox.statistics.compare import Comparison, compare
from sluice.sandbox.statistics.correction import Correction
from sluice.sandbox.statistics.pairs import by_metric_and_arm, paired
from sluice.sandbox.statistics.significance import Test
from sluice.sandbox.train.protocol import Better

Measure = Callable[[Sequence[str], Sequence[int]], Iterable[Score]]
"""Runs these arms with these seeds; the scores of all of them."""


@dataclass(frozen=True)
class Rung:
    """How many arms go on, and how many seeds each has at its end."""

    arms: int
    seeds: int


@dataclass(frozen=True)
class Halved:
    """What successive halving found: verdicts on all arms, `runs` done, and the `saved` that all seeds of all take."""

    comparisons: tuple[Comparison, ...]
    stopped: tuple[str, ...]
    runs: int
    saved: int


def rungs(arms: int, seeds: int, *, first: int = 2, keep: float = 0.5) -> list[Rung]:
    """Rungs that end with all the seeds: `first` seeds for all arms, then twice as many for the better `keep`."""
    if arms < 1 or not 1 <= first <= seeds or not 0 < keep < 1:
        raise UsageError(
            f"{arms} arms of {seeds} seeds, {first} at first, {keep:g} kept, make no rungs",
            fix="give 1 arm or more, 1 ≤ first ≤ seeds, and 0 < keep < 1",
        )
    found = [Rung(arms, first)]
    while found[-1].seeds < seeds:
        last = found[-1]
        found.append(Rung(max(1, math.ceil(last.arms * keep)), min(2 * last.seeds, seeds)))
    return found


def halving(
    measure: Measure,
    arms: Sequence[str],
    seeds: Sequence[int],
    *,
    metric: str,
    better: Better,
    control: str = "control",
    first: int = 2,
    keep: float = 0.5,
    alpha: float = 0.05,
    correction: Correction = "holm",
    test: Test = "t",
) -> Halved:
    """Compare the arms with the control in one metric, stopping those that fall behind.

    The control runs all seeds. An arm without a value in a rung is behind all others. Arms that are harmful are
    mostly stopped, not called worse: halving is for finding what is better.
    """
    going, done, runs = [arm for arm in arms if arm != control], list[Score](), 0
    everyone, before = list(going), 0
    for rung in rungs(len(everyone), len(seeds), first=first, keep=keep):
        if before:
            going = _ahead(_gains(done, going, control, better), going, rung.arms)
        asked, fresh = [control, *going], seeds[before : rung.seeds]
        done += [score for score in measure(asked, fresh) if score.metric == metric]
        runs, before = runs + len(asked) * len(fresh), rung.seeds
    stopped = tuple(arm for arm in everyone if arm not in going)
    final = compare(
        done,
        control=control,
        better={metric: better},
        alpha=alpha,
        correction=correction,
        test=test,
        stopped=stopped,
    )
    return Halved(tuple(final), stopped, runs, (len(everyone) + 1) * len(seeds) - runs)


def _gains(scores: Iterable[Score], arms: Sequence[str], control: str, better: Better) -> dict[str, float]:
    """Mean difference of each arm that has a pair, positive where it is better."""
    ((_, known),) = by_metric_and_arm(scores).items()
    pairs = {arm: paired(arm, known.get(arm, {}), control, known.get(control, {})) for arm in arms}
    sign = 1 if better == "higher" else -1
    return {arm: sign * float(each.differences.mean()) for arm, each in pairs.items() if each.seeds}


def _ahead(gains: Mapping[str, float], going: Sequence[str], count: int) -> list[str]:
    ranked = sorted(going, key=lambda arm: -gains.get(arm, -math.inf))
    return sorted(ranked[:count], key=going.index)
