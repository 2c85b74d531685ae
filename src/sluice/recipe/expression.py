"""What a rule is once it has been read: a small tree, its text again, and the fields it looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

# `at` is the 0-based offset into the rule's text; it plays no part in equality.


@dataclass(frozen=True, slots=True)
class Number:
    """A number; `text` is how it was written (`1_000`, `16:9`)."""

    value: int | float
    text: str = field(default="", compare=False)
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Text:
    """A text in single quotes."""

    value: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Boolean:
    """`true` or `false`."""

    value: bool
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Field:
    """A measure or column by name; `step` asks for the value as of an earlier step (`field@step`)."""

    name: str
    step: str = ""
    at: int = field(default=0, compare=False)

    @property
    def key(self) -> str:
        """The name under which `Fields` and `Layout` know it: `name`, or `name@step`."""
        return f"{self.name}@{self.step}" if self.step else self.name


@dataclass(frozen=True, slots=True)
class Negative:
    """`-value`."""

    value: Expr
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left op right` with `op` one of `+ - * / %`, computed in double precision."""

    op: str
    left: Expr
    right: Expr
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """`left op right` with `op` one of `= <> < <= > >=`."""

    op: str
    left: Expr
    right: Expr
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Between:
    """`value [not] between low and high`; both bounds belong to the range."""

    value: Expr
    low: Expr
    high: Expr
    negated: bool = False
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class In:
    """`value [not] in (literal, …)`."""

    value: Expr
    options: tuple[Number | Text, ...]
    negated: bool = False
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Like:
    """`value [not] like 'pattern'`: `%` is any text, `_` any one character."""

    value: Expr
    pattern: str
    negated: bool = False
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class IsNull:
    """`value is [not] null`."""

    value: Expr
    negated: bool = False
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """`not condition`."""

    condition: Expr
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Logic:
    """Two or more conditions joined by `and` or by `or`."""

    op: str
    terms: tuple[Expr, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Quantified:
    """`any(condition)` or `all(condition)` over the items of one modality.

    `implicit` marks the `all` that `check` puts around bare item fields; it is not printed.
    """

    kind: str
    condition: Expr
    implicit: bool = field(default=False, compare=False)
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Count:
    """`count(condition)`: for how many items the condition is true."""

    condition: Expr
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`min(field)`, `max(field)` or `mean(field)` over a sample's items, nulls left out."""

    kind: str
    of: Field
    at: int = field(default=0, compare=False)


Expr = (
    Number
    | Text
    | Boolean
    | Field
    | Negative
    | Arithmetic
    | Compare
    | Between
    | In
    | Like
    | IsNull
    | Not
    | Logic
    | Quantified
    | Count
    | Aggregate
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as written and as read. `where` says whence it came (`file:line`); equality is by meaning."""

    expr: Expr
    text: str = field(default="", compare=False)
    where: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.text or text_of(self.expr)


def children(expr: Expr) -> tuple[Expr, ...]:
    """The parts an expression is made of, in order of writing."""
    match expr:
        case Negative(value) | Like(value) | IsNull(value):
            return (value,)
        case Arithmetic(_, left, right) | Compare(_, left, right):
            return (left, right)
        case Between(value, low, high):
            return (value, low, high)
        case In(value, options):
            return (value, *options)
        case Not(condition) | Count(condition) | Quantified(_, condition):
            return (condition,)
        case Logic(_, terms):
            return terms
        case Aggregate(_, inner):
            return (inner,)
        case _:
            return ()


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and everything below it, in order of writing."""
    yield expr
    for child in children(expr):
        yield from walk(child)


def fields_of(rule: Rule | Expr) -> tuple[Field, ...]:
    """The fields a rule looks at, each once, in order of first mention."""
    expr = rule.expr if isinstance(rule, Rule) else rule
    return tuple(dict.fromkeys(node for node in walk(expr) if isinstance(node, Field)))


# How tightly each form binds; a part that binds less tightly than its surroundings needs parentheses.
_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _SIGN, _ATOM = range(1, 9)


def text_of(expr: Expr) -> str:
    """The rule's text again, with no more parentheses than needed; reading it gives the same tree."""
    return _print(expr)[0]


def _print(expr: Expr) -> tuple[str, int]:
    match expr:
        case Number(value, text):
            return text or repr(value), _SIGN if value < 0 else _ATOM
        case Text() | Boolean() | Field():
            return _print_word(expr), _ATOM
        case Negative(value):
            return f"-{_wrapped(value, _ATOM)}", _SIGN
        case Arithmetic(op, left, right):
            level = _SUM if op in "+-" else _PRODUCT
            return f"{_wrapped(left, level)} {op} {_wrapped(right, level + 1)}", level
        case Not(condition):
            return f"not {_wrapped(condition, _NOT)}", _NOT
        case Logic(op, terms):
            level = _AND if op == "and" else _OR
            return f" {op} ".join(_wrapped(term, level + 1) for term in terms), level
        case Quantified(_, condition, True):
            return _print(condition)
        case Quantified(kind, condition):
            return f"{kind}({_print(condition)[0]})", _ATOM
        case Count(condition):
            return f"count({_print(condition)[0]})", _ATOM
        case Aggregate(kind, inner):
            return f"{kind}({_print_field(inner)})", _ATOM
        case _:
            return _print_condition(expr), _COMPARE


def _print_condition(expr: Compare | Between | In | Like | IsNull) -> str:
    subject = _wrapped(expr.left if isinstance(expr, Compare) else expr.value, _SUM)
    match expr:
        case Compare(op, _, right):
            return f"{subject} {op} {_wrapped(right, _SUM)}"
        case Between(_, low, high, negated):
            bounds = f"{_wrapped(low, _SUM)} and {_wrapped(high, _SUM)}"
            return f"{subject} {'not ' * negated}between {bounds}"
        case In(_, options, negated):
            return f"{subject} {'not ' * negated}in ({', '.join(_print(option)[0] for option in options)})"
        case Like(_, pattern, negated):
            return f"{subject} {'not ' * negated}like {quote_text(pattern)}"
        case IsNull(_, negated):
            return f"{subject} is {'not ' * negated}null"


def _wrapped(expr: Expr, level: int) -> str:
    text, own = _print(expr)
    return text if own >= level else f"({text})"


def _print_word(expr: Text | Boolean | Field) -> str:
    if isinstance(expr, Text):
        return quote_text(expr.value)
    return _print_field(expr) if isinstance(expr, Field) else str(expr.value).lower()


def _print_field(expr: Field) -> str:
    name = expr.name if is_plain_name(expr.name) else quote_name(expr.name)
    if not expr.step:
        return name
    plain = is_plain_name(expr.step) or (expr.step.isascii() and expr.step.isdigit())
    return f"{name}@{expr.step if plain else quote_name(expr.step)}"


#: Words of the grammar; a field of such a name is written in double quotes.
KEYWORDS = frozenset({"and", "or", "not", "between", "in", "like", "is", "null", "true", "false"})


def is_plain_name(name: str) -> bool:
    """Whether a field's name can be written without double quotes."""
    parts = name.split(".")
    plain = all(part.isascii() and part.isidentifier() for part in parts)
    return plain and name.lower() not in KEYWORDS


def quote_text(value: str) -> str:
    """A text literal in SQL's way: single quotes, an inner one doubled."""
    return "'" + value.replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """An identifier in SQL's way: double quotes, an inner one doubled."""
    return '"' + name.replace('"', '""') + '"'
