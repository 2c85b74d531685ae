"""Refines a recipe's thresholds by the distribution of what was measured; what comes out is a valid recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sluice.errors import UsageError
from sluice.recipe.expression import Rule
from sluice.recipe.nearest import did_you_mean
from sluice.recipe.recipe import Recipe
from sluice.recipe.steps import Keep, Step
from sluice.sandbox.refine.bounds import Range, ranges
from sluice.sandbox.refine.measured import Measured
from sluice.sandbox.refine.methods import Side, Span
from sluice.sandbox.refine.rules import Edges, mentions, rule_for, thresholds_in, with_thresholds

Method = Callable[[Sequence[Measured], Mapping[str, Side]], Mapping[str, Span]]
"""From the measures, and the sides on which each has thresholds, the span of each to keep."""


@dataclass(frozen=True)
class Threshold:
    """What became of the thresholds of one field.

    `before` are those of the recipe (None: it had none), `after` the new ones, `kept` the share of samples within
    them, `missing` how many samples have no value. `note` says why they stayed, and is empty where they changed.
    """

    field: str
    before: Edges | None
    after: Edges | None
    kept: float | None
    missing: int
    note: str = ""

    def to_data(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "field": self.field,
            "before": _span(self.before),
            "after": _span(self.after),
            "kept": self.kept,
            "missing": self.missing,
            "note": self.note,
        }


@dataclass(frozen=True)
class Refined:
    """A recipe with new thresholds, what became of each, and the share of samples that all of them keep."""

    recipe: Recipe
    thresholds: tuple[Threshold, ...]
    kept: float


def refine(recipe: Recipe, measures: pa.Table, method: Method, fields: Sequence[str] = ()) -> Refined:
    """The recipe with thresholds that `method` chooses by the columns of `measures`.

    Thresholds that `keep` rules state for `fields` (all of which there are measures, where none are named) are
    replaced on the side on which they are stated; a field without any gets a rule of its own, on both. A threshold
    never leaves what its field's values can be. `UsageError` where a field was not measured.
    """
    before = stated(recipe)
    names = list(fields) or [name for name in before if name in measures.column_names]
    for name in names:
        if name not in measures.column_names:
            known = did_you_mean(name, measures.column_names, "measured:")
            raise UsageError(f"`{name}` was not measured, so it can have no threshold", fix=known)
    if not names:
        raise UsageError(
            "there is nothing to refine: no `keep` rule of the recipe bounds a field that was measured",
            fix=f"name `fields` among {', '.join(measures.column_names)}",
        )
    found = {name: Measured.of(name, measures.column(name)) for name in names}
    useless = {name: why for name, each in found.items() if (why := _useless(each))}
    chosen = [each for name, each in found.items() if name not in useless]
    limits = ranges(recipe, {name: measures.schema.field(name).type for name in names})
    sides = {name: edges.side for name, edges in before.items()}
    spans = method(chosen, sides) if chosen else {}
    new = {name: _edges(span, limits[name], sides.get(name, "both")) for name, span in spans.items()}
    several = {name for name in names if pa.types.is_nested(measures.schema.field(name).type)}
    kept = np.ones(len(measures), np.bool_)
    for name, edges in new.items():
        kept &= found[name].kept(edges.low, edges.high)
    return Refined(
        _rewritten(recipe, before, new, limits, several),
        tuple(_told(found[name], before.get(name), new.get(name), useless.get(name, "")) for name in names),
        float(kept.mean()) if len(kept) else 1.0,
    )


def stated(recipe: Recipe) -> dict[str, Edges]:
    """The thresholds that the recipe's rules state, by field; a rule each for both sides makes both."""
    found: dict[str, Edges] = {}
    for step in recipe.steps:
        if isinstance(step, Keep):
            for name, edges in thresholds_in(step.parsed.expr):
                known = found.get(name, Edges(None, None))
                low = edges.low if edges.low is not None else known.low
                high = edges.high if edges.high is not None else known.high
                found[name] = Edges(low, high)
    return found


def _useless(measured: Measured) -> str:
    if not len(measured.values):
        return "no sample has a value"
    if measured.values.min() == measured.values.max():
        return f"all values are {measured.values[0]:g}"
    return ""


def _edges(span: Span, limits: Range, side: Side) -> Edges:
    low = None if side == "high" else limits.low(span[0])
    return Edges(low, None if side == "low" else limits.high(span[1]))


def _rewritten(
    recipe: Recipe,
    before: Mapping[str, Edges],
    new: Mapping[str, Edges],
    limits: Mapping[str, Range],
    several: set[str],
) -> Recipe:
    ends = {name: Edges(limits[name].least, limits[name].greatest) for name in new}
    steps: list[Step] = []
    for step in recipe.steps:
        if isinstance(step, Keep) and mentions(step.parsed.expr) & set(new):
            expr = with_thresholds(step.parsed.expr, new, ends)
            steps.append(step.model_copy(update={"rule": str(Rule(expr))}))
        else:
            steps.append(step)
    # Rules over items must be told apart from rules over samples with one item; `all` is right for both.
    added = [
        Keep.model_validate({"rule": rule_for(name, edges, name in several)})
        for name, edges in new.items()
        if name not in before and edges != Edges(None, None)
    ]
    return recipe.replace(steps=(*steps, *added))


def _told(measured: Measured, before: Edges | None, after: Edges | None, why: str) -> Threshold:
    if after is None:
        return Threshold(measured.name, before, None, None, measured.missing, f"{why}: left as it was")
    kept = float(measured.kept(after.low, after.high).mean())
    note = "" if after != Edges(None, None) else "nothing that could occur lies outside: no threshold"
    return Threshold(measured.name, before, after, kept, measured.missing, note)


def _span(edges: Edges | None) -> list[float | int | None] | None:
    return None if edges is None else [edges.low, edges.high]
