"""Turns a checked rule into DuckDB SQL, the only evaluator of rules.

The result of a rule is TRUE, FALSE or NULL by SQL's three-valued logic. Within `any` and `all` an item whose
condition is null is ignored; where no item is judged the result is NULL. Arithmetic is in double precision;
a division by zero and a result that is not finite are NULL (DuckDB sorts NaN above every number, so that
`NaN >= 100` would hold).

Where samples have at most one item of a modality its fields are scalar columns, elsewhere lists; the same
rule gives the same answer on both. (One difference cannot be avoided: a scalar null does not tell an absent
item from an unjudged one, so for a sample without items `x is null` is TRUE there, NULL on an empty list.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    fields_of,
    quote_name,
    quote_text,
)

#: Integers beyond this are not exact as doubles; they are written as doubles so that nothing overflows.
_EXACT = 2**53

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}


@dataclass(frozen=True, slots=True)
class Column:
    """Where a field lies: its column's name, whether that holds lists, and which aggregates are stored.

    `stored` may name `min`, `max` and `mean`, lying in columns `<name>__min` and so on. `table` is an alias
    to qualify the column with, where a query has several tables.
    """

    name: str
    is_list: bool = False
    stored: frozenset[str] = frozenset()
    table: str = ""

    @property
    def sql(self) -> str:
        """The column as SQL, quoted."""
        return self._qualified(self.name)

    def aggregate(self, kind: str) -> str:
        """SQL of the `min`, `max` or `mean` over a sample's items: the stored column, or computed."""
        if not self.is_list:
            return self.sql
        if kind in self.stored:
            return self._qualified(f"{self.name}__{kind}")
        return f"{'list_avg' if kind == 'mean' else f'list_{kind}'}({self.sql})"

    def _qualified(self, name: str) -> str:
        return f"{quote_name(self.table)}.{quote_name(name)}" if self.table else quote_name(name)


#: Where every field of a rule lies, by the field's key (`name`, or `name@step`).
Layout = Mapping[str, Column]


def compile_rule(rule: Rule, layout: Layout) -> str:
    """The rule, checked by `check`, as a DuckDB expression of type BOOLEAN.

    A field missing from the layout, or a list column outside every quantifier, is a `RuleError`.
    """
    return Compiler(rule, layout).condition(rule.expr)


def compile_items(rule: Rule, layout: Layout) -> str:
    """The rule of a `drop_items` step: BOOLEAN[] with one value an item, or BOOLEAN over scalar columns."""
    compiler = Compiler(rule, layout)
    source = compiler.items(rule.expr)
    if source is None:
        return compiler.condition(rule.expr)
    return source.transform(compiler, rule.expr)


@dataclass(frozen=True, slots=True)
class Items:
    """A list to range over in SQL, and how each field reads within the lambda that does so."""

    source: str
    variable: str
    reads: Mapping[str, str]

    def transform(self, compiler: Compiler, condition: Expr) -> str:
        """SQL of the list of the condition's results."""
        return f"list_transform({self.source}, lambda {self.variable}: {compiler.within(self, condition)})"

    def count(self, compiler: Compiler, condition: Expr) -> str:
        """SQL of the number of items for which the condition is true."""
        test = compiler.within(self, condition)
        return f"coalesce(len(list_filter({self.source}, lambda {self.variable}: {test})), 0)"


class Compiler:
    """Compiles the parts of one rule over one layout; `reads` replaces columns within a lambda."""

    def __init__(self, rule: Rule, layout: Layout, reads: Mapping[str, str] | None = None) -> None:
        self.rule, self.layout, self.reads = rule, layout, reads or {}

    def wrong(self, what: str, node: Expr, fix: str = "") -> RuleError:
        """An error that points at `node` in the rule."""
        return RuleError(what, rule=str(self.rule), position=node.at, where=self.rule.where, fix=fix)

    def column(self, node: Field) -> Column:
        """Where a field lies."""
        try:
            return self.layout[node.key]
        except KeyError:
            raise self.wrong(f"`{node.key}` has not been measured here", node) from None

    def within(self, items: Items, expr: Expr) -> str:
        """A condition about one item, inside the lambda of `items`."""
        return Compiler(self.rule, self.layout, items.reads).condition(expr)

    def within_number(self, items: Items, expr: Expr) -> str:
        """A number about one item, inside the lambda of `items`, as DOUBLE."""
        return Compiler(self.rule, self.layout, items.reads).finite(expr)

    def items(self, expr: Expr) -> Items | None:
        """The list that an expression's list columns form together; None where all its columns are scalar."""
        lists = {node.key: self.column(node) for node in fields_of(expr) if self.column(node).is_list}
        if not lists:
            return None
        taken = {column.name.lower() for column in self.layout.values()}
        variable = "item"
        while variable in taken:  # a lambda's parameter would hide a column of its name
            variable += "_"
        columns = list(lists.values())
        if len(columns) == 1:
            return Items(columns[0].sql, variable, dict.fromkeys(lists, variable))
        source = f"list_zip({', '.join(column.sql for column in columns)})"
        return Items(source, variable, {key: f"{variable}[{k}]" for k, key in enumerate(lists, start=1)})

    def condition(self, expr: Expr) -> str:
        """An expression that is true, false or null."""
        match expr:
            case Logic(op, terms):
                return "(" + f" {op.upper()} ".join(self.condition(term) for term in terms) + ")"
            case Not(condition):
                return f"(NOT {self.condition(condition)})"
            case Quantified(kind, condition):
                return self.quantified(kind, condition)
            case Compare(op, left, right):
                return f"({self.value(left)} {op} {self.value(right)})"
            case Between(value, low, high, negated):
                words = "NOT BETWEEN" if negated else "BETWEEN"
                return f"({self.value(value)} {words} {self.value(low)} AND {self.value(high)})"
            case In(value, options, negated):
                listed = ", ".join(self.value(option) for option in options)
                return f"({self.value(value)} {'NOT IN' if negated else 'IN'} ({listed}))"
            case Like(value, pattern, negated):
                return f"({self.value(value)} {'NOT LIKE' if negated else 'LIKE'} {quote_text(pattern)})"
            case IsNull(value, negated):
                return f"({self.value(value)} IS {'NOT NULL' if negated else 'NULL'})"
            case _:
                return self.value(expr)

    def quantified(self, kind: str, condition: Expr) -> str:
        """`any` or `all` over items: from stored bounds where one field is compared with numbers alone."""
        source = self.items(condition)
        if source is None:
            return self.condition(condition)
        fast = self.by_bounds(kind, condition)
        if fast:
            return fast
        return f"list_bool_{'or' if kind == 'any' else 'and'}({source.transform(self, condition)})"

    def by_bounds(self, kind: str, condition: Expr) -> str:
        """`any(x >= c)` is `max(x) >= c`, and so on: two columns read instead of every item. "" if not so."""
        match condition:
            case Compare(op, Field() as node, Number() as bound) if op in ("<", "<=", ">", ">="):
                pass
            case Compare(flipped, Number() as bound, Field() as node) if flipped in ("<", "<=", ">", ">="):
                op = _FLIPPED[flipped]
            case Between(Field() as node, Number() as low, Number() as high, False) if kind == "all":
                column = self.column(node)
                if not {"min", "max"} <= column.stored:
                    return ""
                least, most = column.aggregate("min"), column.aggregate("max")
                return f"({least} >= {self.value(low)} AND {most} <= {self.value(high)})"
            case _:
                return ""
        which = "max" if (op in (">", ">=")) == (kind == "any") else "min"
        column = self.column(node)
        return f"({column.aggregate(which)} {op} {self.value(bound)})" if which in column.stored else ""

    def value(self, expr: Expr) -> str:
        """A value to compare, in its column's own type; arithmetic as DOUBLE."""
        match expr:
            case Number(value):
                whole = isinstance(value, int) and abs(value) < _EXACT
                return _signed(str(value)) if whole else _double(value)
            case Text(value):
                return quote_text(value)
            case Boolean(value):
                return "TRUE" if value else "FALSE"
            case Field():
                return self.field(expr)
            case Negative() | Arithmetic():
                return self.finite(expr)
            case Count(condition):
                return self.count(condition)
            case Aggregate(kind, inner):
                return self.column(inner).aggregate(kind)
            case _:
                return self.condition(expr)

    def field(self, node: Field) -> str:
        """A field's value: within a lambda the item's, elsewhere its column's."""
        if node.key in self.reads:
            return self.reads[node.key]
        column = self.column(node)
        if column.is_list:
            what = f"samples have several items: say which of them `{node.key}` must hold for"
            raise self.wrong(what, node, "put the condition inside any(…) or all(…)")
        return column.sql

    def count(self, condition: Expr) -> str:
        """For how many items the condition is true."""
        source = self.items(condition)
        if source is None:
            return f"(CASE WHEN {self.condition(condition)} THEN 1 ELSE 0 END)"
        return source.count(self, condition)

    def finite(self, expr: Expr) -> str:
        """A number as DOUBLE, NULL where arithmetic leaves the finite numbers."""
        sql = self.number(expr)
        return f"(CASE WHEN isfinite({sql}) THEN {sql} END)" if isinstance(expr, Arithmetic) else sql

    def number(self, expr: Expr) -> str:
        """A number as DOUBLE: whole columns are widened first, so that no product overflows."""
        match expr:
            case Number(value):
                return _double(value)
            case Negative(value):
                return f"(-{self.number(value)})"
            case Arithmetic(op, left, right):
                divisor = self.number(right)
                if op in "/%":
                    divisor = f"nullif({divisor}, 0e0)"
                return f"({self.number(left)} {op} {divisor})"
            case _:
                return f"CAST({self.value(expr)} AS DOUBLE)"


def _signed(text: str) -> str:
    # In parentheses: `a - -5` without them would begin an SQL comment.
    return f"({text})" if text.startswith("-") else text


def _double(value: int | float) -> str:
    text = repr(float(value))
    return _signed(text if "e" in text else f"{text}e0")
