"""Takes a rule apart into its atomic comparisons, to say by how much a sample passed or failed each."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.recipe.expression import (
    Aggregate,
    Arithmetic,
    Between,
    Compare,
    Count,
    Expr,
    Field,
    In,
    Logic,
    Negative,
    Not,
    Number,
    Quantified,
    Rule,
    fields_of,
    text_of,
    walk,
)
from sluice.recipe.sql import Compiler, Layout

_OPPOSITE = {"any": "all", "all": "any"}


@dataclass(frozen=True, slots=True)
class Atom:
    """One numeric comparison of a rule.

    The margin is value − bound, signed so that a positive one passes, 0 lies on the (closed) bound and a
    negative one fails; in the field's unit. Over items, `any` takes the best item and `all` the worst.
    `quantifier` is `any`, `all` or "" (a comparison about the whole sample), `negated` whether a `not` turns
    it round. `field` is the key of the one field it looks at, by whose spread margins are made comparable; ""
    where it looks at several, or counts items.
    """

    text: str
    field: str
    quantifier: str
    negated: bool
    comparison: Compare | Between | In
    rule: Rule


def atoms(rule: Rule) -> tuple[Atom, ...]:
    """The numeric comparisons of a checked rule, in order of writing; others have no margin."""
    found: list[Atom] = []
    _collect(rule, rule.expr, "", False, False, found)
    return tuple(found)


def _collect(
    rule: Rule, expr: Expr, quantifier: str, implicit: bool, negated: bool, found: list[Atom]
) -> None:
    match expr:
        case Logic(_, terms):
            for term in terms:
                _collect(rule, term, quantifier, implicit, negated, found)
        case Not(condition):
            _collect(rule, condition, quantifier, implicit, not negated, found)
        case Quantified(kind, condition, hidden):
            # `not any(c)` is `all(not c)`: the item that decides is the worst one then.
            of = _OPPOSITE[kind] if negated else kind
            _collect(rule, condition, of, hidden, negated, found)
        case Compare() | Between() | In() if _is_numeric(expr):
            found.append(_atom(rule, expr, quantifier, implicit, negated))
        case _:
            pass


def _atom(rule: Rule, expr: Compare | Between | In, quantifier: str, implicit: bool, negated: bool) -> Atom:
    text = f"not {text_of(expr)}" if negated else text_of(expr)
    if quantifier and not implicit:
        text = f"{quantifier}({text})"
    fields = fields_of(expr)
    counts = any(isinstance(node, Count) for node in walk(expr))
    only = fields[0].key if len(fields) == 1 and not counts else ""
    return Atom(text, only, quantifier, negated, expr, rule)


def _is_numeric(expr: Compare | Between | In) -> bool:
    # A checked rule compares like with like; a side that must be a number makes the whole numeric. Two bare
    # fields may be texts, so a comparison of fields alone is left out.
    sides: tuple[Expr, ...]
    match expr:
        case Compare(_, left, right):
            sides = (left, right)
        case Between(value, low, high):
            sides = (value, low, high)
        case In(_, options):
            sides = options
    return any(isinstance(side, Number | Arithmetic | Negative | Count | Aggregate) for side in sides)


def compile_margin(atom: Atom, layout: Layout) -> str:
    """The atom's margin as a DuckDB expression of type DOUBLE; NULL where no item was judged."""
    compiler = Compiler(atom.rule, layout)
    source = compiler.items(atom.comparison) if atom.quantifier else None
    if source is None:
        return _margin(compiler, atom)
    fast = _from_bounds(compiler, atom)
    if fast:
        return fast
    inner = _margin(Compiler(atom.rule, layout, source.reads), atom)
    best = "list_max" if atom.quantifier == "any" else "list_min"
    return f"{best}(list_transform({source.source}, lambda {source.variable}: {inner}))"


def _margin(compiler: Compiler, atom: Atom) -> str:
    """The margin at one place: the sign is the comparison's own, turned round by `not`."""
    match atom.comparison:
        case Compare(op, left, right):
            sql = _difference(op, compiler.finite(left), compiler.finite(right))
        case Between(value, low, high, negated):
            at = compiler.finite(value)
            sql = f"least({at} - {compiler.finite(low)}, {compiler.finite(high)} - {at})"
            # `least` skips nulls, but a comparison with a null bound is null.
            unknown = " OR ".join(f"{compiler.finite(bound)} IS NULL" for bound in (low, high))
            sql = f"(CASE WHEN NOT ({unknown}) THEN {sql} END)"
            sql = f"(-{sql})" if negated else sql
        case In(value, options, negated):
            at = compiler.finite(value)
            gaps = ", ".join(f"abs({at} - {compiler.finite(option)})" for option in options)
            sql = f"least({gaps})" if negated else f"(-least({gaps}))"
    return f"(-{sql})" if atom.negated else sql


def _difference(op: str, left: str, right: str) -> str:
    if op in (">", ">="):
        return f"({left} - {right})"
    if op in ("<", "<="):
        return f"({right} - {left})"
    return f"abs({left} - {right})" if op == "<>" else f"(-abs({left} - {right}))"


def _from_bounds(compiler: Compiler, atom: Atom) -> str:
    """The margin of the deciding item from a stored `min` or `max`; "" where that does not say it."""
    match atom.comparison:
        case Compare(op, Field() as node, Number() as bound) if op in ("<", "<=", ">", ">="):
            rising = (op in (">", ">=")) != atom.negated
            which = "max" if rising == (atom.quantifier == "any") else "min"
            column = compiler.column(node)
            if which not in column.stored:
                return ""
            at = f"CAST({column.aggregate(which)} AS DOUBLE)"
            limit = compiler.finite(bound)
            return f"({at} - {limit})" if rising else f"({limit} - {at})"
    return ""
