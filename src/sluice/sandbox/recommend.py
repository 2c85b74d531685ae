"""Which data to train on, by what was found: the arm to take, what it should gain, and what could not be told apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sluice.sandbox.experiment import Score
from sluice.sandbox.operators import JOIN, conditions_of
from sluice.sandbox.statistics import Comparison, compare, order
from sluice.sandbox.statistics.significance import t_limit


@dataclass(frozen=True)
class Recommendation:
    """What to do with the data, by one metric.

    `arm` is the one to take and `conditions` its thirds; None and empty: keep the data as it is. `gain` is its mean
    difference from the control, positive where better, in the metric's unit; `low` to `high` holds at 1 - `alpha` for
    all arms that were compared at once, so that having picked the best of them does not flatter it. `change` is
    relative (equation 3). `steps` tell how it was chosen; `not_distinguishable` are the arms of which nothing is known.
    """

    metric: str
    arm: str | None
    conditions: tuple[str, ...]
    gain: float | None
    low: float | None
    high: float | None
    change: float | None
    alpha: float
    steps: tuple[str, ...]
    not_distinguishable: tuple[str, ...]

    def to_data(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def recommend(
    comparisons: Sequence[Comparison],
    metric: str,
    *,
    scores: Iterable[Score] = (),
    among: Sequence[str] | None = None,
    alpha: float = 0.05,
) -> Recommendation:
    """The arm to take among those that meet conditions (`a-high`, `a-high+b-low`) and are better than the control.

    It begins with the best of the fewest conditions; one with more is taken only where it is better than that one
    too, by a paired test of the two over `scores`: a pair is kept against a triple that is not better than it.
    `among` keeps to these conditions and their combinations (the top k, or the best of each cluster).
    """
    ranked = order(comparisons, metric)
    known = list(scores)
    levels: dict[int, list[Comparison]] = {}
    for each in ranked.better:
        names = _names(each.arm)
        if names and (among is None or set(names) <= set(among)):
            levels.setdefault(len(names), []).append(each)
    chosen: Comparison | None = None
    steps = []
    for level in sorted(levels):
        best = levels[level][0]
        if chosen is None:
            chosen = best
            steps.append(f"{best.arm} is better by most among {_arms(level)}")
        else:
            taken, told = _outdoes(best, chosen, known, alpha)
            steps.append(told)
            chosen = best if taken else chosen
    if among is not None:
        steps += _missing(among, comparisons, metric)
    unknown = tuple(c.arm for c in ranked.not_distinguishable)
    if chosen is None:
        steps.insert(0, "no arm that a recipe can choose is better than the control: keep the data as it is")
        return Recommendation(metric, None, (), None, None, None, None, alpha, tuple(steps), unknown)
    low, high = _together(chosen, len(comparisons), alpha)
    return Recommendation(
        metric,
        chosen.arm,
        _names(chosen.arm),
        chosen.gain,
        low,
        high,
        chosen.change,
        alpha,
        tuple(steps),
        unknown,
    )


def _names(arm: str) -> tuple[str, ...]:
    return tuple(f"{measure}-{part}" for measure, part in conditions_of(arm))


def _arms(level: int) -> str:
    return "single conditions" if level == 1 else f"combinations of {level}"


def _outdoes(more: Comparison, chosen: Comparison, scores: Sequence[Score], alpha: float) -> tuple[bool, str]:
    """Whether an arm of more conditions is better than the one chosen so far, and how that is told."""
    gains = f"{more.gain:.4g} against {chosen.gain:.4g}"
    if (more.gain or 0.0) <= (chosen.gain or 0.0):
        return False, f"{chosen.arm} is kept: {more.arm} gains no more ({gains})"
    both = [s for s in scores if s.arm in (more.arm, chosen.arm) and s.metric == more.metric]
    if not both:
        return False, f"{chosen.arm} is kept: without scores {more.arm} ({gains}) cannot be compared with it"
    (found,) = compare(both, control=chosen.arm, better={more.metric: more.better}, alpha=alpha)
    if found.verdict == "better":
        return True, f"{more.arm} is taken: it is better than {chosen.arm} too ({gains}, p = {found.p:.2g})"
    told = f"p = {found.p:.2g}" if found.p is not None else found.why
    return False, f"{chosen.arm} is kept: {more.arm} cannot be told apart from it ({gains}, {told})"


def _missing(among: Sequence[str], comparisons: Sequence[Comparison], metric: str) -> list[str]:
    measured = {frozenset(_names(c.arm)) for c in comparisons if c.metric == metric and c.mean is not None}
    if frozenset(among) in measured or len(among) < 2:
        return []
    return [
        f"{JOIN.join(among)} was not measured: draw its pool (`conditions`) to know what all of them gain"
    ]


def _together(of: Comparison, family: int, alpha: float) -> tuple[float | None, float | None]:
    """The t interval of the gain at 1 - alpha for the whole family (Bonferroni); None where there is no spread."""
    if not of.sd or of.gain is None or of.n < 2:
        return None, None
    half = t_limit(alpha / (2 * max(1, family)), of.n - 1) * of.sd / math.sqrt(of.n)
    return of.gain - half, of.gain + half


def best_conditions(result: Mapping[str, Any], k: int) -> tuple[str, ...]:
    """The first `k` conditions that `rank_operators` or `cluster_operators` chose."""
    return tuple(result["chosen"][:k])
