"""Finds comparisons that hold for every value a field can have, or for none: most are bounds for another scale."""

from __future__ import annotations

from collections.abc import Iterator

from sluice.operator.spec import Field as Meaning
from sluice.plan.graph import Plan
from sluice.recipe.expression import Between, Compare, Expr, Field, Number
from sluice.recipe.margins import atoms
from sluice.recipe.steps import Keep

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def idle_rules(plan: Plan) -> list[str]:
    """A sentence for each comparison of a `keep` rule whose bound lies outside all that its field can hold."""
    meanings = {column.name: column.output.field for column in plan.columns}
    return [
        f"{plan.rules[number].where or f'step {number + 1}'}: `{text}` {says}"
        for number, step in enumerate(plan.recipe.steps)
        if isinstance(step, Keep) and number in plan.rules
        for text, says in _idle(plan, number, meanings)
    ]


def _idle(plan: Plan, number: int, meanings: dict[str, Meaning]) -> Iterator[tuple[str, str]]:
    for atom in atoms(plan.rules[number]):
        meaning = meanings.get(atom.field)
        if meaning is None:
            continue
        low, high = meaning.typical or (meaning.ge, meaning.le)
        for op, bound in _bounds(atom.comparison):
            held = _always(op, bound, low, high)
            if held is not None:
                about = "about " if meaning.typical else ""
                span = f"{'−∞' if low is None else f'{low:g}'} to {'∞' if high is None else f'{high:g}'}"
                word = "always" if held != atom.negated else "never"
                yield atom.text, f"{word} holds: `{atom.field}` goes from {about}{span}"


def _bounds(comparison: Expr) -> Iterator[tuple[str, float]]:
    match comparison:
        case Compare(op, Field(), Number(bound)):
            yield op, float(bound)
        case Compare(op, Number(bound), Field()) if op in _FLIPPED:
            yield _FLIPPED[op], float(bound)
        case Between(Field(), Number(least), Number(most)):
            yield ">=", float(least)
            yield "<=", float(most)


def _always(op: str, bound: float, low: float | None, high: float | None) -> bool | None:
    """Whether a comparison is true (or false) of every value from `low` to `high`; None where it depends."""
    if op in (">", ">="):
        if low is not None and bound < low:
            return True
        return False if high is not None and bound > high else None
    if op in ("<", "<="):
        if high is not None and bound > high:
            return True
        return False if low is not None and bound < low else None
    return None
