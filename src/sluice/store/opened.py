"""A finished run, opened: its table, fates, rules and samples, for reports, questions and what-ifs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from sluice.errors import NotFoundError, StorageError, UsageError
from sluice.operator import registry
from sluice.plan import mappers_of
from sluice.readers import Reader, Slice, open_reader
from sluice.readers.again import read_again
from sluice.readers.derived import derived
from sluice.recipe.expression import fields_of
from sluice.recipe.load import loads
from sluice.recipe.lock import Lock
from sluice.recipe.recipe import Recipe
from sluice.recipe.steps import DropItems, Keep
from sluice.sample import Item, Sample
from sluice.storage import Location
from sluice.store.fates import step_name, step_text
from sluice.store.rundir import RunDir
from sluice.store.selection import Margin, read_margins
from sluice.store.table import Table

_AT_ONCE = 256
"""Samples whose views are read from the table together."""


@dataclass(frozen=True, slots=True)
class RuleAtom:
    """One atomic comparison of a rule and the column of `fates` that holds its margin."""

    field: str
    op: str
    bound: float | None
    margin_column: str | None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class RuleText:
    """One step that judges: its name, its text, its comparisons and the columns that its rule looks at."""

    name: str
    text: str
    atoms: tuple[RuleAtom, ...] = ()
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldMeaning:
    """What the values of a column mean."""

    unit: str
    higher_is: str
    kind: str
    description: str
    modality: str = ""


class Run:
    """One finished run. Opening it reads a few small files; queries read columns."""

    def __init__(self, place: RunDir) -> None:
        self.place = place
        self.facts = place.lock_facts()
        self.summary: Mapping[str, Any] = json.loads(place.summary.read())
        self.lock = Lock.read(place.lock)

    @classmethod
    def open(cls, path: str) -> Run:
        """The run at a path (its output, or the run directory itself)."""
        place = RunDir.find(path)
        if not place.summary.exists():
            raise UsageError(
                "this run has not finished", where=path, fix="continue it: give the same `sluice run` again"
            )
        return cls(place)

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.summary["recipe"])

    @property
    def store(self) -> Location:
        """The store that holds its columns."""
        return Location(self.facts["store"])

    @property
    def lock_text(self) -> str:
        """The lock as YAML."""
        return self.place.lock.read().decode()

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe as resolved."""
        return loads(yaml.safe_dump(self.lock.recipe), file=self.place.lock.url)

    @cached_property
    def table(self) -> Table:
        """The wide table of the run's columns."""
        try:
            return Table(Location(self.facts["table"]))
        except NotFoundError:
            raise NotFoundError(
                "the store no longer holds what this run measured",
                where=self.facts["store"],
                fix="give the same `sluice run` again: it measures anew and writes nothing twice",
            ) from None

    @cached_property
    def margins(self) -> list[Margin]:
        """The meaning of the margin columns."""
        return read_margins(self.place.selection)

    @cached_property
    def rules(self) -> tuple[RuleText, ...]:
        """The steps that judge, in their order."""
        found = []
        for number, step in enumerate(self.recipe.steps):
            if step.key in ("keep", "drop_items", "dedup", "sample"):
                own = [m for m in self.margins if m.step == number]
                atoms = tuple(RuleAtom(m.field, m.op, m.bound, m.column, m.upper) for m in own)
                looked = fields_of(step.parsed) if isinstance(step, Keep | DropItems) else ()
                fields = tuple(field.key for field in looked)
                found.append(RuleText(step_name(number, step), step_text(step), atoms, fields))
        return tuple(found)

    @cached_property
    def fields(self) -> Mapping[str, FieldMeaning]:
        """The measured columns and what they mean."""
        operators = {c.column: c.operator for c in self.lock.columns}
        known = registry()
        found = {}
        for name, column in self.table.columns.items():
            operator = operators.get(name, "")
            summary = known.get(operator).summary if operator in known else ""
            found[name] = FieldMeaning(
                column.unit, column.higher_is, column.kind, summary, column.modality or ""
            )
        return found

    @cached_property
    def connection(self) -> Any:
        """DuckDB with the views `samples`, `fates` and, where a splitter ran, `parents`."""
        import duckdb

        connection = self.table.connect()
        files = {"fates": self.place.selection} | (
            {"parents": self.place.parents} if self.has_parents else {}
        )
        for view, file in files.items():
            try:
                if file.is_local:
                    path = str(file.path).replace("'", "''")
                    connection.execute(f"CREATE VIEW {view} AS SELECT * FROM read_parquet('{path}')")
                else:
                    connection.register(view, pq.read_table(pa.BufferReader(file.read())))
            except (duckdb.Error, pa.ArrowInvalid) as error:
                raise StorageError(
                    f"cannot be read: {error}".splitlines()[0],
                    where=file.url,
                    fix="run the same command again",
                ) from None
        return connection

    def query(self, sql: str, *params: Any) -> pa.Table:
        """The result of a query over `samples` and `fates`."""
        return self.connection.sql(sql, params=list(params)).to_arrow_table()

    @cached_property
    def _reader(self) -> Reader:
        source = self.facts["source"]
        reader = open_reader(
            source["url"],
            format=source["format"],
            columns=source["columns"],
            settings=source.get("settings"),
        )
        mappers = mappers_of(self.recipe.steps, registry()).leading
        return derived(reader, tuple(mappers.values()))

    def sample(self, ordinal: int) -> Sample:
        """One sample with its bytes readable: by its views, else by reading its slice of the source again."""
        if self._reader.addressable:
            (sample,) = self.table.batch([ordinal])
            root = self.facts["source"]["root"]
            return sample.rooted(root)
        row = self.table.rows([ordinal], ["unit", "row"])[0]
        part = replace(self._slices[row["unit"]], children=self._children(row["unit"]))
        found = list(self._reader.read(part, {row["row"]}))
        if not found:
            raise StorageError("the sample is no longer in the source", where=part.files[0].path)
        return found[0]

    def samples(self, ordinals: NDArray[np.int64]) -> Iterator[Sample | None]:
        """The samples of ascending ordinals with their bytes readable; None for one that is not in the source now.

        Each slice of the source is read once. Where samples have views these are not looked at: one that is gone is
        found out when its bytes are read.
        """
        if self._reader.addressable:
            root = self.facts["source"]["root"]
            for start in range(0, len(ordinals), _AT_ONCE):
                yield from (
                    s.rooted(root) for s in self.table.batch(ordinals[start : start + _AT_ONCE].tolist())
                )
            return
        ids = iter(self.table.take(ordinals, ["id"]).column("id").to_pylist())
        for unit, rows in self.table.rows_by_unit(ordinals).items() if len(ordinals) else ():
            for sample, known in zip(self._again(unit, rows), ids, strict=False):
                yield sample if sample is not None and sample.id == known else None

    def _again(self, unit: int, rows: list[int]) -> Sequence[Sample | None]:
        if unit >= len(self._slices):  # files of the source are gone
            return [None] * len(rows)
        part = replace(self._slices[unit], children=self._children(unit))
        return read_again(self._reader, part, rows)

    def _children(self, unit: int) -> tuple[int, ...] | None:
        """How many children each of a unit's samples has, where this run split them."""
        if not self.has_parents:
            return None
        found = self.parents("unit = ? ORDER BY ordinal", unit)
        return tuple(parent["children"] for parent in found)

    @property
    def has_parents(self) -> bool:
        """Whether its samples are the children of a splitter."""
        return any(level["name"] == "parents" for level in self.summary.get("levels", ()))

    def parents(self, condition: str, *params: Any) -> list[dict[str, Any]]:
        """The parents that meet a condition (SQL), as `parents.parquet` lists them; none where nothing was split."""
        if not self.has_parents:
            return []
        found: list[dict[str, Any]] = self.query(
            f"SELECT * FROM parents WHERE {condition}", *params
        ).to_pylist()
        return found

    @cached_property
    def _slices(self) -> list[Slice]:
        return list(self._reader.slices())

    def picture(self, ordinal: int) -> bytes | None:
        """The encoded bytes of the sample's first image; None where it has none or it is gone."""
        try:
            return next(
                (i.media.read() for i in self.sample(ordinal).items if _is_image(i) and i.media), None
            )
        except StorageError:
            return None

    def text(self, ordinal: int) -> str | None:
        """The sample's first text; None where it has none or it is gone."""
        for item in self.sample(ordinal).items:
            if item.modality == "text":
                if item.text is not None:
                    return item.text
                try:
                    return item.media.read().decode("utf-8", "replace") if item.media else None
                except StorageError:
                    return None
        return None

    def document(self, ordinal: int) -> tuple[Item, ...]:
        """All items of the sample in their order, their media readable."""
        return self.sample(ordinal).items


def _is_image(item: Any) -> bool:
    return bool(item.modality == "image")
