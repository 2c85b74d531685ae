"""Gates: rules evaluated inside a unit, so that dear operators run on survivors only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sluice.operator import Instance, Program
from sluice.plan import MeasurePass
from sluice.plan.columns import Column
from sluice.recipe.check import FieldType
from sluice.recipe.expression import Rule, fields_of
from sluice.store.fragments import Fragment
from sluice.store.rules import judge


class GateGroup:
    """Dear operators behind the same rules, and the values those rules look at."""

    def __init__(
        self, instances: Sequence[Instance], rules: Sequence[Rule], keep_nulls: Sequence[bool]
    ) -> None:
        self.instances = tuple(instances)
        self.rules, self.keep_nulls = tuple(rules), tuple(keep_nulls)
        self.program = Program(self.instances)

    @property
    def fields(self) -> set[str]:
        """Names of the fields that the gates look at."""
        return {f.name for rule in self.rules for f in fields_of(rule.expr)}

    def passing(
        self, values: pa.Table, fields: Mapping[str, FieldType]
    ) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which rows of `values` (item-level fields as lists) pass every gate."""
        alive = np.ones(values.num_rows, bool)
        if self.rules:
            for verdict, keep_null in zip(judge(values, self.rules, fields), self.keep_nulls, strict=True):
                alive &= (verdict == 1) | ((verdict == -1) & keep_null)
        return alive


def groups(
    measure_pass: MeasurePass, rules: Mapping[int, Rule], keep_nulls: Mapping[int, bool]
) -> list[GateGroup]:
    """The gated operators of a pass, those with the same gates together, in the order of the gates."""
    by_gates: dict[tuple[int, ...], list[Instance]] = {}
    for gated in measure_pass.gated:
        by_gates.setdefault(gated.gates, []).append(gated.instance)
    return [
        GateGroup(instances, [rules[n] for n in gates], [keep_nulls[n] for n in gates])
        for gates, instances in by_gates.items()
    ]


@dataclass(frozen=True)
class GateColumns:
    """The fields that gates look at: columns of this recipe, and what the source says of its samples."""

    measured: Mapping[str, Column]
    of_source: Mapping[str, str]
    """Mark by name."""


class Stored:
    """What the store holds of one unit: values that gates look at, and for which rows dear columns are known."""

    def __init__(self, fragments: Sequence[Fragment], columns: GateColumns) -> None:
        self.fragments = fragments
        marks = {name: column.mark for name, column in columns.measured.items()} | dict(columns.of_source)
        self.values = {name: self._values(mark) for name, mark in marks.items()}
        self._columns = columns

    def _values(self, mark: str) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for fragment in self.fragments:
            if mark in fragment.marks:
                table = fragment.read(["row", fragment.marks[mark]])
                found |= zip(table.column("row").to_pylist(), table.column(1).to_pylist(), strict=True)
        return found

    def table(self, rows: Sequence[int]) -> pa.Table:
        """The values of these rows, null where there are none."""
        data: dict[str, Any] = {"row": pa.array(rows, pa.int64())}
        for name, known in self.values.items():
            values = [known.get(row) for row in rows]
            column = self._columns.measured.get(name)
            data[name] = pa.array(values, column.arrow) if column is not None else pa.array(values)
        return pa.table(data)

    def rows_of(self, base_mark: str) -> set[int]:
        """All rows of the unit, by what the reader gave of it."""
        return set(self._values(f"{base_mark}:id"))

    def covered(self, columns: Sequence[Column]) -> set[int]:
        """Rows for which all of these columns are known."""
        rows: set[int] | None = None
        for column in columns:
            here: set[int] = set()
            for fragment in self.fragments:
                if column.mark in fragment.marks:
                    here |= set(fragment.read(["row"]).column("row").to_pylist())
            rows = here if rows is None else rows & here
        return rows or set()
