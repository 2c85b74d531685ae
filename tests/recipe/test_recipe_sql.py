"""Rules mean in DuckDB what the design says they mean, whatever the layout and whoever writes them."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
import pytest
import recipe_rules as rules
from hypothesis import given, settings
from hypothesis import strategies as st
from recipe_rules import FIELDS, IMAGE_FIELDS, judge

from sluice.errors import RuleError
from sluice.recipe import (
    Column,
    Fields,
    FieldType,
    Rule,
    atoms,
    check,
    check_items,
    compile_items,
    compile_margin,
    compile_rule,
    parse,
    text_of,
)
from sluice.recipe.expression import Compare, Field, In, Text

LISTS = {name: Column(name, is_list=True) for name in IMAGE_FIELDS} | {
    name: Column(name) for name in ("score", "language")
}
STORED = LISTS | {name: Column(name, True, frozenset({"min", "max", "mean"})) for name in rules.IMAGE_NUMBERS}
SCALARS = {name: Column(name) for name in LISTS}
NUMBER_TYPES = {"width": pa.int16(), "sharp": pa.float64(), "moving": pa.bool_()}


_CONNECTION = duckdb.connect(config={"threads": 1})


def evaluate(table: pa.Table, *expressions: str) -> list[tuple[Any, ...]]:
    """The rows of `SELECT expressions FROM table`, in order."""
    _CONNECTION.register("samples", table)
    return _CONNECTION.execute(f"SELECT {', '.join(expressions)} FROM samples").fetchall()


def list_table(rows: list[rules.Row]) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for name, kind in NUMBER_TYPES.items():
        columns[name] = pa.array([[each[name] for each in row["items"]] for row in rows], pa.list_(kind))
    for name in rules.IMAGE_NUMBERS:
        known = [[each[name] for each in row["items"] if each[name] is not None] for row in rows]
        columns[f"{name}__min"] = pa.array([min(each, default=None) for each in known], NUMBER_TYPES[name])
        columns[f"{name}__max"] = pa.array([max(each, default=None) for each in known], NUMBER_TYPES[name])
        columns[f"{name}__mean"] = pa.array(
            [sum(each) / len(each) if each else None for each in known], pa.float64()
        )
    columns["score"] = pa.array([row["score"] for row in rows], pa.float64())
    columns["language"] = pa.array([row["language"] for row in rows], pa.string())
    return pa.table(columns)


def scalar_table(rows: list[rules.Row]) -> pa.Table:
    def first(row: rules.Row, name: str) -> Any:
        return row["items"][0][name] if row["items"] else None

    columns = {
        name: pa.array([first(row, name) for row in rows], kind) for name, kind in NUMBER_TYPES.items()
    }
    columns["score"] = pa.array([row["score"] for row in rows], pa.float64())
    columns["language"] = pa.array([row["language"] for row in rows], pa.string())
    return pa.table(columns)


def checked(expr: Any) -> Rule:
    return check(parse(text_of(expr)), FIELDS)


@settings(max_examples=60, deadline=None)
@given(rules.rules, st.lists(rules.row, min_size=1, max_size=6))
def test_duckdb_agrees_with_the_plain_evaluator(expr: Any, rows: list[rules.Row]) -> None:
    rule = checked(expr)
    expected = [judge(expr, row) for row in rows]
    got = evaluate(list_table(rows), compile_rule(rule, LISTS), compile_rule(rule, STORED))
    assert got == [(result, result) for result in expected]


@settings(max_examples=60, deadline=None)
@given(rules.rules, st.lists(rules.row, min_size=1, max_size=6))
def test_a_scalar_column_and_lists_of_one_item_agree(expr: Any, rows: list[rules.Row]) -> None:
    single = [{**row, "items": row["items"][:1] or [dict.fromkeys(IMAGE_FIELDS)]} for row in rows]
    rule = checked(expr)
    lists = evaluate(list_table(single), compile_rule(rule, LISTS))
    assert evaluate(scalar_table(single), compile_rule(rule, SCALARS)) == lists
    for atom in atoms(rule):
        margins = evaluate(list_table(single), compile_margin(atom, LISTS), compile_margin(atom, STORED))
        assert [(a,) for a, _ in margins] == evaluate(scalar_table(single), compile_margin(atom, SCALARS))
        assert all(a == b for a, b in margins)


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        lambda kind, condition, negated: (
            rules.Not(rules.Quantified(kind, condition)) if negated else rules.Quantified(kind, condition)
        ),
        st.sampled_from(["any", "all"]),
        st.builds(
            Compare,
            rules.ops,
            st.sampled_from(["width", "sharp"]).map(Field),
            st.integers(-3, 3).map(rules.Number),
        )
        | st.builds(
            rules.Between,
            st.sampled_from(["width", "sharp"]).map(Field),
            st.integers(-3, 0).map(rules.Number),
            st.integers(0, 3).map(rules.Number),
            st.booleans(),
        ),
        st.booleans(),
    ),
    st.lists(rules.row, min_size=1, max_size=6),
)
def test_the_sign_of_a_margin_is_the_verdict(expr: Any, rows: list[rules.Row]) -> None:
    rule = checked(expr)
    (atom,) = atoms(rule)
    columns = (compile_rule(rule, LISTS), compile_margin(atom, LISTS), compile_margin(atom, STORED))
    for verdict, margin, fast in evaluate(list_table(rows), *columns):
        assert margin == fast
        assert (margin is None) == (verdict is None)
        if margin is not None and margin != 0:
            assert (margin > 0) == verdict


hostile = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "'; DROP TABLE samples; --",
            '" OR 1=1 --',
            "\\'",
            "''",
            '""',
            "\u2019",
            "/*",
            "*/",
            "$$",
            "?",
            "$1",
            "\n",
        ]
    ),
).filter(lambda text: "\0" not in text)


def _encodable(text: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in text)


@settings(max_examples=60, deadline=None)
@given(hostile.filter(_encodable), hostile.filter(_encodable))
def test_a_text_is_only_ever_a_text(given_text: str, stored: str) -> None:
    table = pa.table({"language": [stored]})
    for expr in (
        Compare("=", Field("language"), Text(given_text)),
        In(Field("language"), (Text(given_text),)),
    ):
        sql = compile_rule(checked(expr), LISTS)
        assert evaluate(table, sql) == [(given_text == stored,)]


@settings(max_examples=60, deadline=None)
@given(hostile.filter(lambda text: _encodable(text) and text != ""), st.integers(-5, 5))
def test_a_name_is_only_ever_a_name(name: str, value: int) -> None:
    fields = Fields({name: FieldType(name, "number")})
    rule = check(parse(text_of(Compare(">=", Field(name), rules.Number(0)))), fields)
    sql = compile_rule(rule, {name: Column(name)})
    assert evaluate(pa.table({name: [value]}), sql) == [(value >= 0,)]


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("any(sharp) >= 100", '("sharp__max" >= 100)'),
        ("any(sharp <= 100)", '("sharp__min" <= 100)'),
        ("all(100 < sharp)", '("sharp__min" > 100)'),
        ("sharp between 1 and 2.5", '("sharp__min" >= 1 AND "sharp__max" <= 2.5e0)'),
        (
            "max(sharp) - 1 > 0",
            '((CASE WHEN isfinite((CAST("sharp__max" AS DOUBLE) - 1.0e0)) '
            'THEN (CAST("sharp__max" AS DOUBLE) - 1.0e0) END) > 0)',
        ),
        (
            "any(sharp >= 100 and width >= 512)",
            'list_bool_or(list_transform(list_zip("sharp", "width"), '
            "lambda item: ((item[1] >= 100) AND (item[2] >= 512))))",
        ),
        (
            "count(sharp >= -1) >= 2",
            '(coalesce(len(list_filter("sharp", lambda item: (item >= (-1)))), 0) >= 2)',
        ),
        ("score > 16:9", '("score" > 1.7777777777777777e0)'),
    ],
)
def test_stored_aggregates_are_used_where_they_decide(text: str, sql: str) -> None:
    assert compile_rule(check(parse(text), FIELDS), STORED) == sql


def test_an_unsigned_product_does_not_overflow() -> None:
    table = pa.table({"score": pa.array([4_000_000_000], pa.uint32())})
    rule = check(parse("score * score >= 16_000_000_000_000_000_000 and score > -1"), FIELDS)
    assert evaluate(table, compile_rule(rule, LISTS)) == [(True,)]


def test_items_are_judged_one_by_one() -> None:
    rule, modality = check_items(parse("sharp < 2 or score > 0"), FIELDS)
    assert modality == "image"
    table = pa.table({"sharp": [[1.0, None, 5.0], []], "score": [-1.0, 1.0]})
    assert evaluate(table, compile_items(rule, LISTS)) == [([True, None, False],), ([],)]
    assert evaluate(pa.table({"sharp": [1.0], "score": [None]}), compile_items(rule, SCALARS)) == [(True,)]


def test_a_column_called_like_the_lambda_parameter_is_not_hidden() -> None:
    fields = Fields({"item": FieldType("item", "number"), "sharp": FIELDS.types["sharp"]})
    rule = check(parse("any(sharp > item)"), fields)
    sql = compile_rule(rule, {"item": Column("item"), "sharp": Column("sharp", True)})
    assert evaluate(pa.table({"item": [2], "sharp": [[1.0, 3.0]]}), sql) == [(True,)]


def test_a_bare_list_column_asks_for_a_quantifier() -> None:
    # The comparison mixes modalities, so that no single `all` can be meant.
    rule = check(parse("width > words"), FIELDS)
    layout = {"width": Column("width", True), "words": Column("words")}
    with pytest.raises(RuleError) as error:
        compile_rule(rule, layout)
    assert str(error.value) == (
        "samples have several items: say which of them `width` must hold for\n"
        "  width > words\n"
        "  ^\n"
        "  → put the condition inside any(…) or all(…)"
    )


def test_atoms_are_printed_with_their_quantifier_and_sense() -> None:
    rule = check(
        parse("any(sharp >= 100 and width >= 512) and not score > 5 and language = 'en' and words >= 3"),
        FIELDS,
    )
    found = [(atom.text, atom.field, atom.quantifier) for atom in atoms(rule)]
    assert found == [
        ("any(sharp >= 100)", "sharp", "any"),
        ("any(width >= 512)", "width", "any"),
        ("not score > 5", "score", ""),
        ("words >= 3", "words", "all"),
    ]


def test_margins_take_the_best_item_for_any_and_the_worst_for_all() -> None:
    table = pa.table({"sharp": [[90.0, 130.0, None], [], [None]]})
    layout = {"sharp": Column("sharp", True)}
    for text, expected in (
        ("any(sharp) >= 100", 30.0),
        ("all(sharp) >= 100", -10.0),
        ("not any(sharp) >= 100", -30.0),
    ):
        (atom,) = atoms(check(parse(text), FIELDS))
        assert evaluate(table, compile_margin(atom, layout)) == [(expected,), (None,), (None,)]


def test_a_column_can_be_qualified() -> None:
    rule = check(parse("score > 1"), FIELDS)
    assert compile_rule(rule, {"score": Column("score", table="s")}) == '("s"."score" > 1)'
