"""What a report needs to know of a run, as a protocol: the page is built and tested without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from sluice.sample import Item


class AtomLike(Protocol):
    """One atomic comparison of a rule: `field op bound`; a `between` has its second bound in `upper`."""

    @property
    def field(self) -> str:
        """The field that is compared."""

    @property
    def op(self) -> str:
        """The comparison: `>=`, `>`, `<=`, `<`, `between`, `=` or `<>`; empty for any other."""

    @property
    def bound(self) -> float | None:
        """The cut (of `between` the lower) in units of the field; None where there is no such number."""

    @property
    def margin_column(self) -> str | None:
        """The column of `fates` that holds value − bound in interquartile ranges, ≥ 0 where it passes."""


class RuleLike(Protocol):
    """One rule of the recipe, with the comparisons it is made of (none for a deduplicating step)."""

    @property
    def name(self) -> str:
        """The name by which its samples are counted."""

    @property
    def text(self) -> str:
        """The rule as written."""

    @property
    def atoms(self) -> tuple[AtomLike, ...]:
        """Its atomic comparisons, in order."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that it looks at, in order of first mention."""


def cuts(atoms: Sequence[AtomLike]) -> list[tuple[str, float]]:
    """The cut lines of comparisons of one field, `between` as two, as `(op, bound)` in order of the bound."""
    found = []
    for atom in atoms:
        if atom.bound is not None:
            found.append((">=" if atom.op == "between" else atom.op, atom.bound))
        upper = getattr(atom, "upper", None)
        if upper is not None:
            found.append(("<=", upper))
    return sorted(found, key=lambda cut: cut[1])


class FieldLike(Protocol):
    """What the values of one column mean."""

    @property
    def unit(self) -> str:
        """The unit (`px`, `bits`), or empty."""

    @property
    def higher_is(self) -> str:
        """What a higher value means (`sharper`), or empty."""

    @property
    def kind(self) -> str:
        """`number`, `text`, `bool`, `vector` or `bits`."""

    @property
    def description(self) -> str:
        """One sentence on what is measured."""

    @property
    def modality(self) -> str:
        """The modality of the items whose values it holds, one each; empty for values of whole samples."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A plain `AtomLike`."""

    field: str
    op: str
    bound: float | None
    margin_column: str | None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """A plain `RuleLike`."""

    name: str
    text: str
    atoms: tuple[AtomLike, ...] = ()
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A plain `FieldLike`."""

    unit: str = ""
    higher_is: str = ""
    kind: str = "number"
    description: str = ""
    modality: str = ""


class RunLike(Protocol):
    """A finished run.

    `summary` is the document of `sluice run --json` with, where known, `yields` (a mapping per rule: `name`,
    `kept`, `first_failing`, `alone`, `only_this`, `null`, `absent`) and `cost` (a mapping per operator: `operator`,
    `seconds`). `query` reads two views: `samples` (ordinal, id, key, size_bytes, items as structs with `modality`
    and `name`, and a column per measure; lists with `<field>__min` and `<field>__max` where samples have several
    items) and `fates` (ordinal, fate, rule, failing, reason, items_dropped, duplicate_of, similarity and the
    margins).
    """

    @property
    def name(self) -> str:
        """The recipe's name."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """The run's counts and times."""

    @property
    def lock_text(self) -> str:
        """The lock as YAML text."""

    @property
    def rules(self) -> tuple[RuleLike, ...]:
        """The rules in the order in which they judge."""

    @property
    def fields(self) -> Mapping[str, FieldLike]:
        """The measured columns by name."""

    def query(self, sql: str, *params: Any) -> pa.Table:
        """The result of a query over `samples` and `fates`; `?` stands for each parameter."""

    def picture(self, ordinal: int) -> bytes | None:
        """The encoded bytes of the sample's first image, or None where it has none."""

    def text(self, ordinal: int) -> str | None:
        """The sample's first text, or None where it has none."""

    def document(self, ordinal: int) -> Sequence[Item]:
        """All items of the sample in their order, their media readable; SampleError or StorageError where gone."""


def quoted(name: str) -> str:
    """A column name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def rows(run: RunLike, sql: str, *params: Any) -> list[dict[str, Any]]:
    """The rows of a query as dictionaries; for results of a few hundred rows at most."""
    found: list[dict[str, Any]] = run.query(sql, *params).to_pylist()
    return found


def yields(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What each rule did, in order; empty where the run did not say."""
    return list(summary.get("yields") or ())


def column_types(run: RunLike) -> dict[str, str]:
    """The columns of `samples` with DuckDB's names of their types."""
    found = rows(run, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM samples)")
    return {row["column_name"]: row["column_type"] for row in found}
