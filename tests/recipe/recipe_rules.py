"""Random rules, random rows, and a slow second evaluator that says what a rule means in plain Python."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from sluice.recipe.check import Fields, FieldType
from sluice.recipe.expression import (
    Aggregate,
    Arithmetic,
    Between,
    Boolean,
    Compare,
    Count,
    Expr,
    Field,
    In,
    IsNull,
    Like,
    Logic,
    Negative,
    Not,
    Number,
    Quantified,
    Text,
    fields_of,
)

FIELDS = Fields(
    {
        "width": FieldType("width", "number", "item", "image", "px"),
        "sharp": FieldType("sharp", "number", "item", "image", "variance"),
        "moving": FieldType("moving", "bool", "item", "image"),
        "words": FieldType("words", "number", "item", "text", "words"),
        "score": FieldType("score", "number"),
        "language": FieldType("language", "text"),
        "phash": FieldType("phash", "bits", "item", "image"),
        "vector": FieldType("vector", "vector", "item", "image"),
    }
)
IMAGE_NUMBERS, IMAGE_FIELDS = ("width", "sharp"), ("width", "sharp", "moving")
SAMPLE_NUMBERS = ("score",)

numbers = st.one_of(
    st.integers(-3, 3), st.sampled_from([0.5, 1.5, -2.25, 1e300, 16 / 9, 2**60, -(2**60)])
).map(Number)
texts = st.text(max_size=4).filter(lambda text: "\0" not in text).map(Text)
ops = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])


def values(names: tuple[str, ...]) -> st.SearchStrategy[Expr]:
    """Numbers made of fields and literals."""
    leaf = st.one_of(st.sampled_from(names).map(Field), numbers)

    def negated(inner: Expr) -> Expr:
        # The reader folds the sign of a literal into it.
        return Number(-inner.value) if isinstance(inner, Number) else Negative(inner)

    def extend(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        return st.builds(Arithmetic, st.sampled_from("+-*/%"), inner, inner) | inner.map(negated)

    return st.recursive(leaf, extend, max_leaves=4)


def comparisons(names: tuple[str, ...]) -> st.SearchStrategy[Expr]:
    """Numeric comparisons over the given fields."""
    value = values(names)
    options = st.lists(numbers, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Compare, ops, value, value),
        st.builds(Compare, ops, st.sampled_from(names).map(Field), numbers),
        st.builds(Between, value, value, value, st.booleans()),
        st.builds(In, value, options, st.booleans()),
        st.builds(IsNull, st.sampled_from(names).map(Field), st.booleans()),
    )


def joined(leaf: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    """Conditions joined by `and`, `or` and `not`, flat as the reader makes them."""

    def logic(op: str, terms: list[Expr]) -> Expr:
        flat: list[Expr] = []
        for term in terms:
            flat.extend(term.terms if isinstance(term, Logic) and term.op == op else (term,))
        return Logic(op, tuple(flat))

    def extend(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        both = st.builds(logic, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3))
        return both | inner.map(Not)

    return st.recursive(leaf, extend, max_leaves=5)


def looks_at_a_field(expr: Expr) -> bool:
    """Whether a condition says something about samples at all; the checker refuses others."""
    return bool(fields_of(expr))


image_conditions = joined(comparisons(IMAGE_NUMBERS) | st.just(Field("moving"))).filter(looks_at_a_field)
quantified = st.builds(Quantified, st.sampled_from(["any", "all"]), image_conditions)
counted = st.builds(Compare, ops, image_conditions.map(Count), st.integers(0, 3).map(Number))
aggregated = st.builds(
    Compare,
    ops,
    st.builds(Aggregate, st.sampled_from(["min", "max", "mean"]), st.sampled_from(IMAGE_NUMBERS).map(Field)),
    numbers,
)
sample_conditions = st.one_of(
    comparisons(SAMPLE_NUMBERS),
    st.builds(Compare, ops, st.just(Field("language")), texts),
    st.builds(In, st.just(Field("language")), st.lists(texts, min_size=1).map(tuple), st.booleans()),
    st.builds(Like, st.just(Field("language")), st.sampled_from(["a%", "_", "%'%", "a\\%"]), st.booleans()),
)
rules = joined(st.one_of(quantified, counted, aggregated, sample_conditions)).filter(looks_at_a_field)

cell = st.none() | st.integers(-3, 3) | st.sampled_from([0.5, -2.25, 100.0])
image = st.fixed_dictionaries(
    {"width": st.none() | st.integers(-3, 3), "sharp": cell, "moving": st.none() | st.booleans()}
)
row = st.fixed_dictionaries(
    {
        "items": st.lists(image, max_size=4),
        "score": cell,
        "language": st.none() | st.sampled_from(["", "a", "ab", "'", "a\\b"]),
    }
)

Row = Mapping[str, Any]


def judge(expr: Expr, row: Row, item: Row | None = None) -> Any:
    """What a rule says of a row: three-valued, by the words of the design and nothing else."""
    match expr:
        case Logic(op, terms):
            return _logic(op, [judge(term, row, item) for term in terms])
        case Not(condition):
            result = judge(condition, row, item)
            return None if result is None else not result
        case Quantified(kind, condition):
            judged = [judge(condition, row, each) for each in row["items"]]
            known = [result for result in judged if result is not None]
            return (any(known) if kind == "any" else all(known)) if known else None
        case Between(value, low, high, negated):
            above = _logic(
                "and",
                [judge(Compare(">=", value, low), row, item), judge(Compare("<=", value, high), row, item)],
            )
            return above if above is None or not negated else not above
        case In(value, options, negated):
            given = judge(value, row, item)
            found = None if given is None else given in [judge(option, row, item) for option in options]
            return found if found is None or not negated else not found
        case Like(value, pattern, negated):
            given = judge(value, row, item)
            wild = {"%": ".*", "_": "."}
            regex = "".join(wild.get(character, re.escape(character)) for character in pattern)
            matched = None if given is None else re.fullmatch(regex, given, re.DOTALL) is not None
            return matched if matched is None or not negated else not matched
        case IsNull(value, negated):
            return (judge(value, row, item) is None) != negated
        case Compare(op, left, right):
            return _compare(op, judge(left, row, item), judge(right, row, item))
        case _:
            return _value(expr, row, item)


def _value(expr: Expr, row: Row, item: Row | None) -> Any:
    match expr:
        case Number(value) | Text(value) | Boolean(value):
            return value
        case Field(name):
            return item[name] if item is not None and name in item else row[name]
        case Count(condition):
            return sum(judge(condition, row, each) is True for each in row["items"])
        case Aggregate(kind, Field(name)):
            known = [each[name] for each in row["items"] if each[name] is not None]
            compute = {"min": min, "max": max, "mean": lambda found: math.fsum(found) / len(found)}[kind]
            return compute(known) if known else None
    result = _number(expr, row, item)
    return result if result is None or math.isfinite(result) else None


def _number(expr: Expr, row: Row, item: Row | None) -> float | None:
    match expr:
        case Negative(value):
            inner = _number(value, row, item)
            return None if inner is None else -inner
        case Arithmetic(op, left, right):
            a, b = _number(left, row, item), _number(right, row, item)
            if a is None or b is None or (op in "/%" and b == 0):
                return None
            if op == "%":
                return math.fmod(a, b) if math.isfinite(a) and not math.isnan(b) else math.nan
            return {"+": a + b, "-": a - b, "*": a * b, "/": a / (b or 1)}[op]
    given = _value(expr, row, item)
    return None if given is None else float(given)


def _compare(op: str, left: Any, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    return bool(
        {
            "=": left == right,
            "<>": left != right,
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
        }[op]
    )


def _logic(op: str, results: list[bool | None]) -> bool | None:
    decisive = op == "or"
    if decisive in results:
        return decisive
    return None if None in results else not decisive
