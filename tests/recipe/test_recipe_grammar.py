"""Reading rules: what they mean, that they print back, and what the errors say."""

from __future__ import annotations

import pytest
import recipe_rules as rules
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import RuleError
from sluice.recipe import fields_of, parse, text_of
from sluice.recipe.expression import Compare, Field, Logic, Not, Number, Quantified


@settings(max_examples=200, deadline=None)
@given(rules.rules)
def test_a_printed_rule_reads_as_the_same_rule(expr: object) -> None:
    assert parse(text_of(expr)).expr == expr  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet=st.sampled_from("ab0159.:_ '\"()<>=!,-+*/%@\n\0é"), max_size=40) | st.text(max_size=40)
)
def test_any_text_is_a_rule_or_a_rule_error(text: str) -> None:
    found: RuleError | None = None
    try:
        parse(text)
    except RuleError as error:
        found = error
    assert found is None or (0 <= found.position <= len(text) and str(found))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("any(x) >= 5", "any(x >= 5)"),
        ("5 <= all(x)", "all(5 <= x)"),
        ("any(x + y) between 1 and 2", "any(x + y between 1 and 2)"),
        ("any(x) not in (1, 2)", "any(x not in (1, 2))"),
        ("any(x) is not null", "any(x is not null)"),
        ("a == 1 AND b != 2", "a = 1 and b <> 2"),
        ("not a = 1 and b = 2", "(not (a = 1)) and (b = 2)"),
        ("a = 1 or b = 2 and c = 3", "a = 1 or (b = 2 and c = 3)"),
        ("(a and b) and c", "a and b and c"),
        ("a - b - c > 0", "(a - b) - c > 0"),
        ("-a * b > +1", "(-a) * b > 1"),
        ("a >= 1_000.5e1", "a >= 10005.0"),
        ("ratio between 1:3 and 16:9", "ratio between 1:3 and 16:9"),
        ('"odd ""name""@x" > 1', '"odd ""name""@x" > 1'),
        ("x = 'it''s'", "x = 'it''s'"),
        ("Any(X > 1)", "any(X > 1)"),
        ("width@2 < width@resize", "width@2 < width@resize"),
    ],
)
def test_two_ways_of_writing_one_rule(text: str, same: str) -> None:
    assert parse(text) == parse(same)


def test_a_rule_is_read_by_precedence() -> None:
    expected = Logic(
        "or",
        (
            Logic("and", (Compare(">=", Field("a"), Number(1)), Not(Field("b")))),
            Quantified("any", Compare("<", Field("c", "crop"), Number(-2))),
        ),
    )
    assert parse("a >= 1 and not b or any(c@crop < -2)").expr == expected


def test_a_ratio_is_its_quotient() -> None:
    assert parse("r = 16:9").expr == Compare("=", Field("r"), Number(16 / 9))


def test_fields_are_listed_once_in_order() -> None:
    assert [field.key for field in fields_of(parse("b > a and any(c@1 > 2) and a < 3"))] == ["b", "a", "c@1"]


ERRORS = {
    "": "the rule is empty\n  \n  ^\n  → write a condition such as `image_width_px >= 256`",
    "width >=": "expected a field, a number or a text, found the end of the rule\n  width >=\n          ^",
    "1 < a < 5": (
        "comparisons do not chain\n  1 < a < 5\n        ^\n"
        "  → write `x between low and high`, or two comparisons joined by `and`"
    ),
    "a && b": "`&&` is not part of the rule language\n  a && b\n    ^\n  → write `and`",
    "a ≥ 5": "`≥` is not part of the rule language\n  a ≥ 5\n    ^\n  → write `>=`",
    "a >= 50%": "a number cannot be a percentage\n  a >= 50%\n       ^\n  → write a share as a fraction: 0.5 for 50%",
    "size >= 5MB": (
        "a number cannot carry a unit (`5MB`)\n  size >= 5MB\n          ^\n"
        "  → write the number alone, in the field's own unit (the field's name or its page says which)"
    ),
    "avg(a) > 1": (
        "there is no function `avg`\n  avg(a) > 1\n  ^\n"
        "  → did you mean `mean`? the functions are any, all, count, min, max, mean"
    ),
    "a = null": (
        "nothing can be compared with null\n  a = null\n      ^\n"
        "  → write `field is null` or `field is not null`"
    ),
    "count(*) > 1": (
        "`count` takes no `*`\n  count(*) > 1\n        ^\n"
        "  → count(condition), such as count(image_width_px >= 256)"
    ),
    "a >= 5 b": "`b` cannot follow here\n  a >= 5 b\n         ^\n  → join conditions with `and` or `or`",
    "(a": "expected `)` to close the parenthesis opened at character 1, found the end of the rule\n  (a\n    ^",
    "a in (b)": (
        "`in` lists numbers or texts\n  a in (b)\n        ^\n  → texts take single quotes: in ('en', 'de')"
    ),
    "a = 'x": "this text has no closing quote\n  a = 'x\n      ^\n  → close it with '",
    "a not 5": "expected `between`, `in` or `like` after `not`, found `5`\n  a not 5\n        ^",
    "max(a + 1) > 2": "`max` takes one field\n  max(a + 1) > 2\n  ^\n  → such as max(image_width_px)",
    "a > 1:0": "`1:0` is not a number\n  a > 1:0\n      ^",
    "a > 1e999": "`1e999` is too large\n  a > 1e999\n      ^",
    "a ; b": (
        "the character ';' has no meaning in a rule\n  a ; b\n    ^\n"
        "  → fields of unusual names are written in double quotes, texts in single quotes"
    ),
}


@pytest.mark.parametrize("text", ERRORS)
def test_an_error_points_and_helps(text: str) -> None:
    with pytest.raises(RuleError) as error:
        parse(text)
    assert str(error.value) == ERRORS[text]


def test_an_error_says_where_the_rule_was_written() -> None:
    with pytest.raises(RuleError) as error:
        parse("a >", "recipe.yaml:7")
    assert str(error.value).startswith("recipe.yaml:7: expected a field")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 500 + "a",
        "a" + " + a" * 500 + " > 1",
        "not " * 500 + "a",
        "-" * 500 + "a > 1",
        "any(" * 500 + "a",
    ],
)
def test_deep_rules_are_refused_without_overflow(text: str) -> None:
    with pytest.raises(RuleError, match="nests deeper than 60 levels"):
        parse(text)


def test_a_long_flat_rule_is_fine_and_an_endless_one_is_not() -> None:
    assert len(fields_of(parse(" and ".join(f"f{number} > {number}" for number in range(1000))))) == 1000
    with pytest.raises(RuleError, match="at most 20,000"):
        parse("a > 1 and " * 5000 + "a > 1")
