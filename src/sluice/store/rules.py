"""Evaluates rules over stored columns: DuckDB is the only evaluator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sluice.recipe.check import FieldType
from sluice.recipe.expression import Rule, fields_of, quote_name
from sluice.recipe.sql import Column as Place
from sluice.recipe.sql import Layout, compile_rule
from sluice.store.aside import ASIDE
from sluice.store.table import Table

NULL, FAILS, PASSES, ABSENT = -1, 0, 1, 2
# In this order one comparison tells what fails, nulls included or not: ten million verdicts are many.
Verdicts = NDArray[np.int8]
"""One rule's result a sample: it passes, fails, is null, or looks at what was never measured."""


@dataclass(frozen=True)
class View:
    """The rows of a table as a rule sees them: a relation in SQL and where each field lies in it."""

    relation: str
    layout: Layout


def view_of(table: Table, rules: Iterable[Rule], fields: Mapping[str, FieldType]) -> View:
    """The whole table; source columns that hold other types than `fields` says are seen as of that type."""
    named = {found.name for rule in rules for found in fields_of(rule.expr)}
    kinds = {n: kind for n, kind in table.passthrough.items() if n in named and n in fields}
    return View(_seen_as("samples", kinds, fields), layout_of(table))


def _seen_as(relation: str, stored: Mapping[str, str], fields: Mapping[str, FieldType]) -> str:
    """The relation with columns, given with their Arrow types, seen as what rules take them for.

    A value that is not of its field's type is null, as is a number that is not finite (measures hold none).
    """
    replaced = []
    for name, kind in stored.items():
        wanted, column = fields[name].kind, quote_name(name)
        if wanted == "number" and kind not in _WHOLE:
            plain = column if kind in ("float", "double") else f"CAST({column} AS VARCHAR)"
            number = f"TRY_CAST({plain} AS DOUBLE)"
            replaced.append(f"CASE WHEN isfinite({number}) THEN {number} END AS {column}")
        elif wanted == "bool" and kind != "bool":
            replaced.append(f"TRY_CAST(CAST({column} AS VARCHAR) AS BOOLEAN) AS {column}")
        elif wanted == "text" and kind not in ("string", "large_string"):
            replaced.append(f"CAST({column} AS VARCHAR) AS {column}")
    return f"(SELECT * REPLACE ({', '.join(replaced)}) FROM {relation})" if replaced else relation


_WHOLE = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


def layout_of(table: Table) -> Layout:
    """Where each field of a wide table lies."""
    places = {name: Place(name) for name in ("id", "key", "size_bytes", *table.passthrough)}
    for name, column in table.columns.items():
        if column.kind in ASIDE:
            continue
        is_list = column.layout == "list"
        stored = frozenset({"min", "max", "mean"}) if is_list and column.kind == "number" else frozenset()
        places[name] = Place(name, is_list, stored)
    return places


def judge_table(connection: Any, relation: str, rules: Sequence[Rule], layout: Layout) -> list[Verdicts]:
    """Each rule's verdicts over the rows of a relation, in its order."""
    if not rules:
        return []
    columns = [f"CAST(({compile_rule(rule, layout)}) AS TINYINT) AS v{k}" for k, rule in enumerate(rules)]
    # By way of Arrow, and nulls filled there: thirty rules over ten million rows take 1.3 s so, 2.0 s where DuckDB
    # fills them, and more by its own conversion to NumPy.
    found = connection.sql(f"SELECT {', '.join(columns)} FROM {relation}").to_arrow_table()
    return [pc.fill_null(found.column(k), NULL).to_numpy() for k in range(len(rules))]


def judge(values: pa.Table, rules: Sequence[Rule], fields: Mapping[str, FieldType]) -> list[Verdicts]:
    """The same over a small table in memory, whose item-level columns hold lists."""
    import duckdb

    layout = {n: Place(n, pa.types.is_list(values.schema.field(n).type)) for n in values.column_names}
    kinds = {f.name: str(f.type) for f in values.schema if fields[f.name].level == "sample"}
    connection = duckdb.connect(":memory:")
    try:
        connection.register("micro_batch", values)
        return judge_table(connection, _seen_as("micro_batch", kinds, fields), rules, layout)
    finally:
        connection.close()
