"""Puts new thresholds into rules: the rest of a rule, and of the recipe, stays as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sluice.recipe.expression import (
    Between,
    Compare,
    Expr,
    Field,
    Logic,
    Negative,
    Number,
    Quantified,
    fields_of,
    text_of,
)
from sluice.sandbox.refine.methods import Side

Edge = float | int | None

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class Edges:
    """The lowest and the highest value that a rule keeps; None where nothing is cut."""

    low: Edge
    high: Edge

    @property
    def side(self) -> Side:
        """Which of the two there are."""
        if self.high is None:
            return "low"
        return "high" if self.low is None else "both"


def thresholds_in(expr: Expr) -> Iterator[tuple[str, Edges]]:
    """The fields that a rule bounds by numbers, in conditions that must all hold, with their bounds.

    A bound below `or`, `not`, `any` or `count` is no threshold that could be moved by itself.
    """
    match expr:
        case Logic("and", terms):
            for term in terms:
                yield from thresholds_in(term)
        case Quantified("all", condition):
            yield from thresholds_in(condition)
        case Between(Field(name, ""), low, high, False) if _number(low) is not None is not _number(high):
            yield name, Edges(_number(low), _number(high))
        case Compare():
            found = _comparison(expr)
            if found is not None:
                name, op, value = found
                yield name, Edges(value, None) if op in (">", ">=") else Edges(None, value)


def with_thresholds(expr: Expr, new: Mapping[str, Edges], least: Mapping[str, Edges]) -> Expr:
    """The rule with new bounds of these fields on the sides that it bounds already.

    Where there is nothing to cut, the bound becomes the end of what the field's values can be (`least`), and where
    there is none it stays as it was.
    """
    match expr:
        case Logic("and", terms, at):
            return Logic("and", tuple(with_thresholds(term, new, least) for term in terms), at)
        case Quantified("all", condition):
            return replace(expr, condition=with_thresholds(condition, new, least))
        case Between(Field(name, ""), low, high, False) if name in new and _number(low) is not None:
            return replace(
                expr,
                low=_written(new[name].low, least[name].low, low),
                high=_written(new[name].high, least[name].high, high),
            )
        case Compare():
            return _compared(expr, new, least)
        case _:
            return expr


def rule_for(name: str, edges: Edges, several: bool) -> str:
    """A rule of its own for one field; `several`: samples may have several items, and it must hold for all."""
    subject: Expr = Field(name)
    match edges:
        case Edges(None, high):
            found: Expr = Compare("<=", subject, _of(high))
        case Edges(low, None):
            found = Compare(">=", subject, _of(low))
        case Edges(low, high):
            found = Between(subject, _of(low), _of(high))
    return text_of(Quantified("all", found) if several else found)


def mentions(expr: Expr) -> set[str]:
    """Every field that the rule looks at."""
    return {field.name for field in fields_of(expr)}


def _comparison(expr: Compare) -> tuple[str, str, float | int] | None:
    """Field, operator and number of a bound, as if the field stood on the left; None where it is none."""
    left, right, op = expr.left, expr.right, expr.op
    if isinstance(right, Field):
        left, right, op = right, left, _FLIPPED.get(op, "")
    value = _number(right)
    if isinstance(left, Field) and not left.step and value is not None and op in _FLIPPED:
        return left.name, op, value
    return None


def _compared(expr: Compare, new: Mapping[str, Edges], least: Mapping[str, Edges]) -> Expr:
    found = _comparison(expr)
    if found is None or found[0] not in new:
        return expr
    name, op, _ = found
    subject = expr.left if isinstance(expr.left, Field) else expr.right
    old = expr.right if subject is expr.left else expr.left
    if op in (">", ">="):
        return Compare(">=", subject, _written(new[name].low, least[name].low, old), expr.at)
    return Compare("<=", subject, _written(new[name].high, least[name].high, old), expr.at)


def _number(expr: Expr) -> float | int | None:
    if isinstance(expr, Number):
        return expr.value
    return -expr.value.value if isinstance(expr, Negative) and isinstance(expr.value, Number) else None


def _written(value: Edge, end: Edge, old: Expr) -> Expr:
    if value is not None:
        return _of(value)
    return old if end is None else _of(end)


def _of(value: Edge) -> Expr:
    number = value if isinstance(value, int) else float(value or 0.0)
    return Number(number) if number >= 0 else Negative(Number(-number))
