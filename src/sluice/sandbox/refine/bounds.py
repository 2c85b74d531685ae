"""Thresholds that a rule may state: within what a field's values can be, whole where they are whole."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import pyarrow as pa

from sluice.errors import SluiceError
from sluice.operator import Output, registry
from sluice.plan.columns import columns_of
from sluice.recipe.recipe import Recipe
from sluice.recipe.steps import Measure

_DIGITS = 6  # more say nothing of a distribution


@dataclass(frozen=True, slots=True)
class Range:
    """What the values of a field can be: from `least` to `greatest` (None: no end), whole numbers or any."""

    least: float | None = None
    greatest: float | None = None
    whole: bool = False

    def low(self, value: float) -> float | int | None:
        """The lowest value to keep as a rule states it; None where it would exclude nothing.

        Where values are whole it is the first of them at or above; else it is rounded outward to six digits.
        """
        stated = _stated(value, self.whole, ROUND_CEILING if self.whole else ROUND_FLOOR)
        return None if self.least is not None and stated <= self.least else stated

    def high(self, value: float) -> float | int | None:
        """The highest value to keep, likewise."""
        stated = _stated(value, self.whole, ROUND_FLOOR if self.whole else ROUND_CEILING)
        return None if self.greatest is not None and stated >= self.greatest else stated


def ranges(recipe: Recipe, types: dict[str, pa.DataType]) -> dict[str, Range]:
    """The range of each of these columns, as their operators declare it.

    A column that no operator makes (one of the source's) has no ends, and is whole where its type is.
    """
    made: dict[str, Output] = {o.name: o for spec in registry() for o in spec.outputs}
    for ref in (ref for step in recipe.steps if isinstance(step, Measure) for ref in step.operators):
        try:
            bound = registry().bind(ref.name, ref.settings, alias=ref.as_, with_=ref.with_, over=ref.over)
        except SluiceError:
            continue  # a recipe that cannot run is refused where it is run, with its line
        made |= {column.name: column.output for column in columns_of([bound])}
    return {name: _range(made.get(name), kind) for name, kind in types.items()}


def _range(output: Output | None, kind: pa.DataType) -> Range:
    if output is None:
        inner = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
        return Range(whole=pa.types.is_integer(inner))
    return Range(output.field.ge, output.field.le, output.python is int)


def _stated(value: float, whole: bool, rounding: str) -> float | int:
    exact = Decimal(value)
    if whole:
        return int(exact.to_integral_value(rounding))
    if not exact:
        return 0.0
    step = Decimal(1).scaleb(exact.adjusted() - _DIGITS + 1)
    return float(exact.quantize(step, rounding))
