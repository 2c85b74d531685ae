"""How far do two runs on the same data differ? Below that, nothing can be told."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sluice.sandbox.experiment import Score
from sluice.sandbox.statistics.pairs import by_metric_and_arm, paired
from sluice.sandbox.statistics.power import detectable_effect


@dataclass(frozen=True)
class Noise:
    """The noise floor of one metric: control against control.

    `mean` and `sd` are of the control's runs; `difference_sd` is the SD of the difference of two of them: measured,
    where the control was run a second time (`again` names that arm), else √2 times `sd`, as if seeds paired nothing.
    `detectable` is the smallest true difference that as many seeds find with 80 % power at the alpha asked for.
    None where fewer than 2 runs have a value.
    """

    metric: str
    n: int
    mean: float | None
    sd: float | None
    difference_sd: float | None
    detectable: float | None
    again: str = ""


def noise_floor(
    scores: Iterable[Score],
    metrics: Sequence[str],
    *,
    control: str = "control",
    again: str = "",
    alpha: float = 0.05,
) -> list[Noise]:
    """The noise floor of each metric; `alpha` is what one arm is tested at."""
    known = by_metric_and_arm(scores)
    return [_floor(metric, known.get(metric, {}), control, again, alpha) for metric in metrics]


def _floor(metric: str, arms: dict[str, dict[int, Score]], control: str, again: str, alpha: float) -> Noise:
    runs = arms.get(control, {})
    values = paired(control, runs, control, runs).values
    n = len(values)
    mean = float(values.mean()) if n else None
    if n < 2:
        return Noise(metric, n, mean, None, None, None)
    sd = float(values.std(ddof=1))
    twice = paired(again, arms.get(again, {}), control, runs)
    measured = twice.spread
    difference_sd = math.sqrt(2) * sd if measured is None else measured
    detectable = detectable_effect(n, difference_sd, alpha)
    return Noise(metric, n, mean, sd, difference_sd, detectable, again if measured is not None else "")
