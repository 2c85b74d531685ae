"""Checks a rule against the fields there are, before any work: names, types, levels, quantifiers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

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
    fields_of,
    text_of,
    walk,
)
from sluice.recipe.nearest import did_you_mean

Kind = Literal["number", "text", "bool", "vector", "bits", "binary"]


@dataclass(frozen=True, slots=True)
class FieldType:
    """What is known of a field: its kind, whether it is one value an item or a sample, of which modality.

    `unit` is the field's unit in words, shown in errors. A field of level `item` belongs to a modality.
    """

    name: str
    kind: Kind
    level: Literal["item", "sample"] = "sample"
    modality: str | None = None
    unit: str = ""


@dataclass(frozen=True)
class Fields:
    """Every field that a rule may name, by its key (`name`, or `name@step` for an earlier step's value).

    `multiple` says by modality whether some sample has several items of it. A modality that is not in it is
    not known yet: a bare item field is then allowed and means `all`.
    """

    types: Mapping[str, FieldType]
    multiple: Mapping[str, bool] = field(default_factory=dict)


def check(rule: Rule, fields: Fields) -> Rule:
    """The rule, ready to be compiled: every bare item field stands inside an (unprinted) `all`.

    `RuleError` where a name is unknown, types do not fit, a quantifier is missing, nested or ranges over
    several modalities, or where the whole is no condition.
    """
    checker = _Checker(rule, fields)
    checker.condition(rule.expr)
    return replace(rule, expr=checker.lift(rule.expr))


def check_items(rule: Rule, fields: Fields) -> tuple[Rule, str]:
    """The rule of a `drop_items` step, judged item by item, and the modality whose items it drops.

    `RuleError` as for `check`, and where the rule has a quantifier or looks at no item field.
    """
    checker = _Checker(rule, fields)
    for node in walk(rule.expr):
        if isinstance(node, Quantified | Count | Aggregate):
            word = "count" if isinstance(node, Count) else node.kind
            fix = "write the condition for one item: image_qrcode_area_ratio >= 0.05"
            what = f"`drop_items` judges one item at a time: `{word}(…)` has no place in it"
            raise checker.wrong(what, node, fix)
    checker.condition(rule.expr)
    return rule, checker.modality_of(rule.expr, "drop_items")


_LITERALS: dict[type, Kind] = {Number: "number", Text: "text", Boolean: "bool"}


class _Checker:
    def __init__(self, rule: Rule, fields: Fields) -> None:
        self.rule, self.fields = rule, fields

    def wrong(self, what: str, node: Expr, fix: str = "") -> RuleError:
        return RuleError(what, rule=str(self.rule), position=node.at, where=self.rule.where, fix=fix)

    def type_of(self, node: Field) -> FieldType:
        known = self.fields.types
        if node.key in known:
            return known[node.key]
        if node.step and node.name in known:
            steps = sorted(key.partition("@")[2] for key in known if key.startswith(f"{node.name}@"))
            what = f"there is no earlier value of `{node.name}` from a step `{node.step}`"
            fix = f"no earlier step changes it: write `{node.name}`"
            fix = f"steps with one: {', '.join(steps)}" if steps else fix
            raise self.wrong(what, node, fix)
        fix = did_you_mean(node.key, known, "fields")
        raise self.wrong(f"there is no field `{node.key}`", node, fix)

    def condition(self, expr: Expr) -> None:
        """The whole rule must be true or false, and look at something."""
        kind = self.kind(expr)
        if kind != "bool":
            fix = "write a condition, such as `image_width_px >= 256`"
            if isinstance(expr, Field | Count | Aggregate):
                test = ">= 1" if kind == "number" else "is not null"
                fix = f"compare it with something: `{text_of(expr)} {test}`"
            raise self.wrong(f"a rule must be true or false; this is a {kind}", expr, fix)
        if not fields_of(expr):
            raise self.wrong("the rule looks at no field: it says the same of every sample", expr)

    def kind(self, expr: Expr) -> Kind:
        """What an expression yields, once all its parts have been found to fit together."""
        match expr:
            case Number() | Text() | Boolean():
                return _LITERALS[type(expr)]
            case Field():
                return self.type_of(expr).kind
            case Arithmetic(op, left, right):
                self.need(left, "number", f"`{op}`")
                self.need(right, "number", f"`{op}`")
                return "number"
            case Negative(value):
                self.need(value, "number", "`-`")
                return "number"
            case Count(condition):
                self.quantified(expr, "count", condition)
                return "number"
            case Aggregate(kind, inner):
                return self.aggregate(expr, kind, inner)
            case Quantified(kind, condition):
                self.quantified(expr, kind, condition)
            case Not(condition):
                self.need(condition, "bool", "`not`")
            case Logic(op, terms):
                for term in terms:
                    self.need(term, "bool", f"`{op}`")
            case _:
                self.comparison(expr)
        return "bool"

    def need(self, expr: Expr, wanted: Kind, of: str) -> None:
        found = self.kind(expr)
        if found == wanted:
            return
        fix = ""
        if wanted == "bool" and found == "number":
            fix = f"compare it: `{text_of(expr)} >= …`"
        elif wanted == "number" and isinstance(expr, Quantified):
            fix = f"put the comparison inside: {expr.kind}({text_of(expr.condition)} >= …)"
        words = {"bool": "true or false", "number": "a number", "text": "a text"}
        raise self.wrong(f"{of} needs {words[wanted]}, but `{text_of(expr)}` is a {found}", expr, fix)

    def comparison(self, expr: Compare | Between | In | Like | IsNull) -> None:
        match expr:
            case Compare(op, left, right):
                self.comparable(expr, op, left, right)
            case Between(value, low, high):
                self.comparable(expr, "between", value, low)
                self.comparable(expr, "between", value, high)
            case In(value, options):
                for option in options:
                    self.comparable(expr, "in", value, option)
            case Like(value):
                self.need(value, "text", "`like`")
            case IsNull(value):
                self.kind(value)

    def comparable(self, expr: Expr, op: str, left: Expr, right: Expr) -> None:
        # The right side first: a name that is unknown because its quotes are double is the common slip.
        for side in (left, right):
            self.hint_quotes(side)
        kinds = self.kind(left), self.kind(right)
        for side, kind in zip((left, right), kinds, strict=True):
            if kind in ("vector", "bits", "binary"):
                fix = "rules can only ask whether it is null; `dedup` compares it"
                raise self.wrong(f"`{text_of(side)}` holds {kind} and cannot be compared", side, fix)
        if kinds[0] != kinds[1]:
            what = f"`{text_of(left)}` is a {kinds[0]} and cannot be compared "
            what += f"with `{text_of(right)}`, a {kinds[1]}"
            fix = "texts take single quotes, numbers none" if set(kinds) == {"text", "number"} else ""
            raise self.wrong(what, right, fix)
        if kinds[0] == "bool" and op not in ("=", "<>"):
            raise self.wrong(f"`{op}` has no meaning between true and false", expr, "use `=`, `<>` or `not`")

    def hint_quotes(self, side: Expr) -> None:
        if isinstance(side, Field) and not side.step and side.name not in self.fields.types:
            quoted = str(self.rule)[side.at : side.at + 1] == '"'
            if quoted:
                fix = f"a text takes single quotes: '{side.name}'"
                raise self.wrong(f"there is no field `{side.name}`", side, fix)

    def quantified(self, expr: Expr, word: str, condition: Expr) -> None:
        for node in walk(condition):
            if isinstance(node, Quantified | Count | Aggregate):
                inner = "count" if isinstance(node, Count) else node.kind
                fix = "join the two with `and` or `or` instead"
                raise self.wrong(f"`{inner}(…)` cannot stand inside `{word}(…)`", node, fix)
        if self.kind(condition) != "bool":
            text = text_of(condition)
            fix = f"such as {word}({text} >= 1)"
            what = f"`{word}` needs a condition, but `{text}` is a {self.kind(condition)}"
            raise self.wrong(what, condition, fix)
        self.modality_of(condition, word, expr)

    def aggregate(self, expr: Expr, word: str, inner: Field) -> Kind:
        found = self.type_of(inner)
        if found.kind != "number":
            raise self.wrong(f"`{word}` needs a number, but `{inner.key}` is a {found.kind}", inner)
        self.modality_of(inner, word, expr)
        return "number"

    def modality_of(self, expr: Expr, word: str, owner: Expr | None = None) -> str:
        """The one modality whose items `word` ranges over."""
        found: dict[str, Field] = {}
        for node in fields_of(expr):
            known = self.type_of(node)
            if known.level == "item":
                found.setdefault(known.modality or "item", node)
        if not found:
            what = f"`{word}` has nothing to range over: every field in it is one value a sample"
            fix = f"write `{text_of(expr)}` without `{word}`" if owner else ""
            raise self.wrong(what, owner or expr, fix)
        if len(found) > 1:
            (one, first), (other, second) = list(found.items())[:2]
            what = f"`{word}` ranges over the items of one modality, but `{first.key}` is of {one} items "
            what += f"and `{second.key}` of {other} items"
            raise self.wrong(what, second, "judge each modality in its own condition, joined with `and`")
        return next(iter(found))

    def lift(self, expr: Expr) -> Expr:
        """Puts `all` around the largest conditions that look at bare items of one modality."""
        bare = self.bare(expr)
        if not bare:
            return expr
        has_quantifier = any(isinstance(node, Quantified | Count | Aggregate) for node in walk(expr))
        whole = len(bare) == 1 and not has_quantifier
        match expr:
            case Logic(op, terms, at) if not whole:
                return Logic(op, tuple(self.lift(term) for term in terms), at)
            case Not(condition, at) if not whole:
                return Not(self.lift(condition), at)
        for modality, node in bare.items():
            if self.fields.multiple.get(modality):
                what = f"samples have several {modality} items: say which of them `{node.key}` must hold for"
                raise self.wrong(what, node, f"any({text_of(expr)}) or all({text_of(expr)})")
        # A comparison across modalities is left as it is: it has a meaning where each has one item.
        return Quantified("all", expr, True, expr.at) if whole else expr

    def bare(self, expr: Expr) -> dict[str, Field]:
        """The modalities of the item fields outside every quantifier, each with its first field."""
        if isinstance(expr, Quantified | Count | Aggregate):
            return {}
        if isinstance(expr, Field):
            known = self.type_of(expr)
            return {known.modality or "item": expr} if known.level == "item" else {}
        found: dict[str, Field] = {}
        for child in children(expr):
            for modality, node in self.bare(child).items():
                found.setdefault(modality, node)
        return found
