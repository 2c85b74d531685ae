"""Gates: rules evaluated inside a unit, so that dear operators run on survivors only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def covered(fragments: Sequence[Fragment], columns: Sequence[Column]) -> set[int]:
    """Rows for which all of these columns are in the fragments already."""
    rows: set[int] | None = None
    for column in columns:
        here: set[int] = set()
        for fragment in fragments:
            if column.mark in fragment.marks:
                here |= set(fragment.read(["row"]).column("row").to_pylist())
        rows = here if rows is None else rows & here
    return rows or set()
