"""By how much is an arm better than the control, over several metrics at once?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from sluice.errors import UsageError
from sluice.sandbox.experiment import Score


def relative_change(values: Sequence[float], control_values: Sequence[float]) -> float:
    """The relative change of the sum: (Σs - Σs') / Σs' (Data-Juicer Sandbox, equation 3); 0.02 is 2 %.

    Values of N metrics, those of the control in the same order. It is a ratio of sums, not a mean of ratios:
    (83.14, 77.93) against (82.57, 74.76) is 0.02377. Metrics should have one unit and be better when higher.
    `UsageError` where the numbers of values differ, one is not finite, or the control's sum is not above 0 (a
    change relative to it would have no direction).
    """
    if not values or len(values) != len(control_values):
        raise UsageError(
            f"{len(values)} values cannot be compared with {len(control_values)} of the control",
            fix="give the same metrics of both, in the same order",
        )
    total, before = math.fsum(values), math.fsum(control_values)
    if not (math.isfinite(total) and math.isfinite(before)):
        raise UsageError("a value that is not finite is no score", fix="leave out runs that gave none")
    if before <= 0:
        raise UsageError(
            f"the control's values sum to {before:g}, and nothing is relative to that",
            fix="compare the metrics one by one",
        )
    return (total - before) / before


def change_scores(
    scores: Iterable[Score], metrics: Sequence[str], *, control: str = "control", name: str = "change"
) -> list[Score]:
    """Equation 3 of each run against the control's run of the same seed, as scores of one more metric.

    The control's own are 0, so that comparing the new metric with the control tests the change itself. A run that
    misses one of the metrics, or whose control does, has no value and says which is missing.
    """
    known = {(s.arm, s.seed, s.metric): s for s in scores if s.metric in metrics}
    runs = dict.fromkeys((arm, seed) for arm, seed, _ in known)
    return [_change(known, arm, seed, metrics, control, name) for arm, seed in runs]


def _change(
    known: dict[tuple[str, int, str], Score],
    arm: str,
    seed: int,
    metrics: Sequence[str],
    control: str,
    name: str,
) -> Score:
    sides = []
    for each in (arm, control):
        found = [known.get((each, seed, metric)) for metric in metrics]
        for metric, score in zip(metrics, found, strict=True):
            if score is None or score.value is None:
                reason = (score.reason if score else "") or "no score"
                return Score(arm, seed, name, None, f"{each}: {metric}: {reason}")
        sides.append([score.value for score in found if score is not None and score.value is not None])
    try:
        return Score(arm, seed, name, relative_change(*sides))
    except UsageError as error:
        return Score(arm, seed, name, None, error.what)
