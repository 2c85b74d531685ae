"""How small a difference could be seen at all: the noise floor, and the power of as many seeds."""

from __future__ import annotations

from sluice.sandbox.report import marks
from sluice.sandbox.report.found import Found
from sluice.sandbox.statistics import Noise, power
from sluice.view import number
from sluice.view.html import Html, isolated, join

SEEDS = (2, 3, 5, 8, 12, 20, 32)
EFFECTS = (0.25, 0.5, 1.0, 2.0)
ALPHA = 0.05


def section(found: Found) -> Html | None:
    """Noise floor of each metric and power by seeds; None where the control was not measured twice."""
    if not found.noise:
        return None
    family = max(1, len(found.comparisons))
    rows = [_row(each) for each in found.noise]
    head = ["metric", "control's runs", "mean", "SD", "SD of a difference", "found with 80 % power"]
    floor = marks.table(head, rows, right=range(1, len(head)))
    measured = next((each.again for each in found.noise if each.again), "")
    how = (
        f"measured between the control and {measured}"
        if measured
        else "√2 times the control's, as of unpaired seeds"
    )
    return join(
        floor,
        marks.note(
            f"The SD of a difference is {how}. The last column is the smallest true difference that so many seeds find"
            " at the first step of the correction."
        ),
        _power(family),
    )


def _row(of: Noise) -> tuple[object, ...]:
    values = (of.mean, of.sd, of.difference_sd, of.detectable)
    return isolated(of.metric), number.count(of.n), *("–" if v is None else number.exact(v) for v in values)


def _power(family: int) -> Html:
    rows = [
        (f"{seeds} seeds", *(_percent(power(seeds, effect, 1.0, ALPHA / family)) for effect in EFFECTS))
        for seeds in SEEDS
    ]
    head = ["power", *(f"difference of {effect:g} SD" for effect in EFFECTS)]
    told = f"Paired two-sided t-test at {ALPHA:g} / {family}; SD is that of the paired differences."
    return join(marks.table(head, rows, right=range(1, len(head))), marks.note(told))


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"
