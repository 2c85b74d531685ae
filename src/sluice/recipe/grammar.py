"""Reads a rule's text into its tree: a Pratt parser whose every error points at a place in the text.

From loosest to tightest: `or`; `and`; `not`; comparisons, `between`, `in`, `like`, `is null` (these do not
chain); `+ -`; `* / %`; unary `-`. Words are case-insensitive, fields are not.
"""

from __future__ import annotations

import math
from dataclasses import replace

from sluice.errors import RuleError
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
    Rule,
    Text,
    children,
)
from sluice.recipe.nearest import nearest
from sluice.recipe.tokens import Token, tokens

QUANTIFIERS = ("any", "all")
AGGREGATES = ("min", "max", "mean")
FUNCTIONS = (*QUANTIFIERS, "count", *AGGREGATES)

#: How deep a rule may nest: far beyond any honest rule, well within Python's own recursion limit.
MAX_DEPTH = 60

_COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
_POWERS = (
    {"or": 1, "and": 2, "between": 4, "in": 4, "like": 4, "is": 4, "not": 4}
    | dict.fromkeys(_COMPARISONS, 4)
    | {"+": 5, "-": 5, "*": 6, "/": 6, "%": 6}
)
_NOT, _COMPARE, _SUM, _SIGN = 3, 4, 5, 7
_KNOWN_ELSEWHERE = {
    "avg": "mean",
    "average": "mean",
    "minimum": "min",
    "maximum": "max",
    "exists": "any",
    "every": "all",
}


def parse(text: str, where: str = "") -> Rule:
    """The rule that `text` says. `where` (`file:line`) goes into errors; a `RuleError` has the position."""
    reader = _Reader(text, where)
    expr = reader.expression(0, 0)
    if reader.now.kind != "end":
        raise reader.wrong(f"{reader.now} cannot follow here", fix="join conditions with `and` or `or`")
    if _depth(expr) > MAX_DEPTH:
        raise reader.wrong(f"the rule nests deeper than {MAX_DEPTH} levels", at=0)
    return Rule(expr, text, where)


class _Reader:
    def __init__(self, text: str, where: str) -> None:
        self.text, self.where = text, where
        self.tokens = tokens(text, where)
        self.next = 0

    @property
    def now(self) -> Token:
        return self.tokens[self.next]

    def take(self) -> Token:
        token = self.now
        self.next += token.kind != "end"
        return token

    def has(self, text: str) -> bool:
        return self.now.kind in ("op", "word") and self.now.text == text

    def accept(self, text: str) -> bool:
        found = self.has(text)
        if found:
            self.take()
        return found

    def expect(self, text: str, after: str) -> None:
        if not self.accept(text):
            raise self.wrong(f"expected `{text}` {after}, found {self.now}")

    def wrong(self, what: str, *, at: int | None = None, fix: str = "") -> RuleError:
        position = self.now.at if at is None else at
        return RuleError(what, rule=self.text, position=position, where=self.where, fix=fix)

    def expression(self, power: int, depth: int) -> Expr:
        if depth > MAX_DEPTH:
            raise self.wrong(f"the rule nests deeper than {MAX_DEPTH} levels")
        left = self.prefix(depth + 1)
        compared = False
        while True:
            token = self.now
            binds = _POWERS.get(token.text, 0) if token.kind in ("op", "word") else 0
            if binds <= power:
                return left
            if binds == _COMPARE and compared:
                fix = "write `x between low and high`, or two comparisons joined by `and`"
                raise self.wrong("comparisons do not chain", fix=fix)
            self.take()
            compared = binds == _COMPARE
            left = self.infix(left, token, binds, depth + 1)

    def prefix(self, depth: int) -> Expr:
        token = self.take()
        if token.kind == "number":
            return self.number(token)
        if token.kind == "text":
            return Text(token.text, token.at)
        if token.kind == "name":
            return self.name(token, depth)
        match token.text if token.kind != "end" else "":
            case "(":
                inner = self.expression(0, depth)
                self.expect(")", f"to close the parenthesis opened at character {token.at + 1}")
                return inner
            case "not":
                return Not(self.expression(_NOT, depth), token.at)
            case "-":
                return _negative(self.expression(_SIGN - 1, depth), token.at)
            case "+":
                return self.expression(_SIGN - 1, depth)
            case "true" | "false":
                return Boolean(token.text == "true", token.at)
            case "null":
                fix = "write `field is null` or `field is not null`"
                raise self.wrong("nothing can be compared with null", at=token.at, fix=fix)
        if len(self.tokens) == 1:
            fix = "write a condition such as `image_width_px >= 256`"
            raise self.wrong("the rule is empty", at=0, fix=fix)
        raise self.wrong(f"expected a field, a number or a text, found {token}", at=token.at)

    def infix(self, left: Expr, token: Token, binds: int, depth: int) -> Expr:
        if token.text in ("and", "or"):
            return self.logic(left, token, binds, depth)
        if binds > _COMPARE:
            return Arithmetic(token.text, left, self.expression(binds, depth), token.at)
        return _distribute(self.condition(left, token, depth))

    def logic(self, left: Expr, token: Token, binds: int, depth: int) -> Expr:
        terms = [left, self.expression(binds, depth)]
        while self.accept(token.text):
            terms.append(self.expression(binds, depth))
        # `(a and b) and c` says the same as `a and b and c`; one form keeps trees flat and equal.
        flat: list[Expr] = []
        for term in terms:
            same = isinstance(term, Logic) and term.op == token.text
            flat.extend(term.terms if same and isinstance(term, Logic) else (term,))
        return Logic(token.text, tuple(flat), token.at)

    def condition(self, left: Expr, token: Token, depth: int) -> Compare | Between | In | Like | IsNull:
        if token.text in _COMPARISONS:
            return Compare(token.text, left, self.expression(_COMPARE, depth), token.at)
        if token.text == "is":
            negated = self.accept("not")
            self.expect("null", "after `is`")
            return IsNull(left, negated, token.at)
        negated = token.text == "not"
        word = self.take() if negated else token
        match word.text if word.kind == "word" else "":
            case "between":
                low = self.expression(_COMPARE, depth)
                self.expect("and", "between the two bounds")
                return Between(left, low, self.expression(_COMPARE, depth), negated, token.at)
            case "in":
                return In(left, self.options(depth), negated, token.at)
            case "like":
                pattern = self.take()
                if pattern.kind != "text":
                    raise self.wrong("`like` takes a text in single quotes", at=pattern.at, fix="like 'cat%'")
                return Like(left, pattern.text, negated, token.at)
        raise self.wrong(f"expected `between`, `in` or `like` after `not`, found {word}", at=word.at)

    def options(self, depth: int) -> tuple[Number | Text, ...]:
        self.expect("(", "after `in`")
        found: list[Number | Text] = []
        while True:
            at = self.now.at
            option = self.expression(_COMPARE, depth)
            if not isinstance(option, Number | Text):
                fix = "texts take single quotes: in ('en', 'de')"
                raise self.wrong("`in` lists numbers or texts", at=at, fix=fix)
            found.append(option)
            if not self.accept(","):
                self.expect(")", "or `,` after an option")
                return tuple(found)

    def number(self, token: Token) -> Number:
        top, _, bottom = token.text.partition(":")
        try:
            value: int | float = _number(top)
            if bottom:
                value = value / _number(bottom)
        except (ArithmeticError, ValueError):
            raise self.wrong(f"{token} is not a number", at=token.at) from None
        if math.isinf(value):
            raise self.wrong(f"{token} is too large", at=token.at)
        return Number(value, token.text, token.at)

    def name(self, token: Token, depth: int) -> Expr:
        if self.accept("("):
            return self.call(token, depth)
        step = ""
        if self.accept("@"):
            of = self.take()
            if of.kind not in ("name", "number"):
                raise self.wrong(f"expected a step's name or number after `@`, found {of}", at=of.at)
            step = of.text
        return Field(token.text, step, token.at)

    def call(self, token: Token, depth: int) -> Expr:
        word = token.text.lower()
        if word not in FUNCTIONS:
            near = _KNOWN_ELSEWHERE.get(word) or nearest(word, FUNCTIONS)
            known = f"the functions are {', '.join(FUNCTIONS)}"
            fix = f"did you mean `{near}`? {known}" if near else f"{known}; everything else is a measure"
            raise self.wrong(f"there is no function `{token.text}`", at=token.at, fix=fix)
        if self.has("*"):
            fix = f"{word}(condition), such as {word}(image_width_px >= 256)"
            raise self.wrong(f"`{word}` takes no `*`", fix=fix)
        inner = self.expression(0, depth)
        self.expect(")", f"to close `{word}(`")
        if word in QUANTIFIERS:
            return Quantified(word, inner, False, token.at)
        if word == "count":
            return Count(inner, token.at)
        if not isinstance(inner, Field):
            raise self.wrong(f"`{word}` takes one field", at=token.at, fix=f"such as {word}(image_width_px)")
        return Aggregate(word, inner, token.at)


def _number(text: str) -> int | float:
    digits = text.replace("_", "")
    return int(digits) if digits.isdecimal() and len(digits) < 300 else float(digits)


def _negative(value: Expr, at: int) -> Expr:
    if isinstance(value, Number):
        text = value.text[1:] if value.text.startswith("-") else f"-{value.text}"
        return Number(-value.value, text, at)
    return Negative(value, at)


def _is_value(expr: Expr) -> bool:
    return isinstance(expr, Field | Number | Text | Arithmetic | Negative)


def _distribute(condition: Compare | Between | In | Like | IsNull) -> Expr:
    """`any(x) >= 5` means `any(x >= 5)`: the comparison moves inside, on whichever side the quantifier is."""
    match condition:
        case Compare(_, Quantified(kind, inner, at=at), _) if _is_value(inner):
            return Quantified(kind, replace(condition, left=inner), False, at)
        case Compare(_, _, Quantified(kind, inner, at=at)) if _is_value(inner):
            return Quantified(kind, replace(condition, right=inner), False, at)
        case Between() | In() | Like() | IsNull():
            value = condition.value
            if isinstance(value, Quantified) and _is_value(value.condition):
                return Quantified(value.kind, replace(condition, value=value.condition), False, value.at)
    return condition


def _depth(expr: Expr) -> int:
    # Iterative, because a long sum is a deep tree and must be refused, not overflow the stack.
    deepest, stack = 0, [(expr, 1)]
    while stack:
        node, depth = stack.pop()
        deepest = max(deepest, depth)
        stack.extend((child, depth + 1) for child in children(node))
    return deepest
