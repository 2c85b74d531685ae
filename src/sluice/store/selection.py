"""The selection file: every sample that was read, with its fate, its failing rules and its margins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sluice.recipe.expression import Between, Compare, Field, Number, Rule
from sluice.recipe.margins import Atom, atoms, compile_margin
from sluice.recipe.steps import Step
from sluice.storage import Location
from sluice.store.fates import FATES, Fates, step_name
from sluice.store.items import indices
from sluice.store.rules import View
from sluice.store.table import Table

_INFO = b"sluice.margins"
CHUNK_ROWS = 1 << 16

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}


@dataclass(frozen=True, slots=True)
class Margin:
    """One margin column: which atomic comparison of which step it belongs to, and its scale.

    The column holds value − bound in units of `scale`, the field's interquartile range (1 where that is 0
    or unknown), positive where it passes. `op` and `bound` are given where a field is compared with a number;
    for `between`, `bound` is the lower end and `upper` the higher.
    """

    column: str
    step: int
    field: str
    text: str
    op: str
    bound: float | None
    scale: float
    upper: float | None = None


def margins_of(
    views: Mapping[int, View], steps: Sequence[Step], rules: Mapping[int, Rule], connection: Any
) -> list[tuple[Margin, Atom]]:
    """The margins that a selection of these rules stores; `views` are what each rule saw, by step."""
    found: list[tuple[Margin, Atom]] = []
    for number in sorted(rules):
        if steps[number].key != "keep":
            continue
        for atom in atoms(rules[number]):
            op, bound, upper = _cut(atom)
            scale = _spread(connection, views[number], atom.field) if atom.field else 1.0
            column = f"margin_{len(found)}"
            found.append((Margin(column, number, atom.field, atom.text, op, bound, scale, upper), atom))
    return found


def _cut(atom: Atom) -> tuple[str, float | None, float | None]:
    """The comparison and the number or numbers that a bare field is compared with, as written."""
    match atom.comparison:
        case Compare(op, Field(), Number(value)):
            return op, float(value), None
        case Compare(op, Number(value), Field()):
            return _FLIPPED[op], float(value), None
        case Between(Field(), Number(low), Number(high)):
            return "between", float(low), float(high)
    return "", None, None


def _spread(connection: Any, view: View, field: str) -> float:
    column = view.layout[field].aggregate("mean")
    sql = f"SELECT quantile_cont(CAST({column} AS DOUBLE), [0.25, 0.75]) FROM {view.relation}"
    ((quartiles,),) = connection.execute(sql).fetchall()
    if quartiles is None or None in quartiles:
        return 1.0
    low, high = quartiles
    return float(high - low) or 1.0


def write_selection(
    target: Location,
    table: Table,
    steps: Sequence[Step],
    rules: Mapping[int, Rule],
    fates: Fates,
    placed: Mapping[str, np.ndarray[Any, Any]] | None = None,
) -> list[Margin]:
    """Write the selection in source order, in chunks; the margins' meaning goes into its metadata.

    `placed` adds columns (`shard`, int32) by name, one entry a sample.
    """
    connection = table.connect()
    margins = margins_of(fates.views, steps, rules, connection)
    relation = connection.sql(_margins_sql(margins, fates))
    names = [step_name(n, s) for n, s in enumerate(steps)]
    info = json.dumps([asdict(m) for m, _ in margins]).encode()
    with target.writer() as sink:
        writer: Any = None
        for batch in _batches(relation):
            told = _with_fates(batch, fates, names, placed or {})
            told = told.append_column("items_dropped", _items_dropped(told, fates, names, table.connect()))
            chunk = told.replace_schema_metadata({_INFO: info})
            if writer is None:
                writer = pq.ParquetWriter(sink, chunk.schema, compression="zstd")
            writer.write_table(chunk, row_group_size=CHUNK_ROWS)
        writer.close()
    return [m for m, _ in margins]


def _margins_sql(margins: Sequence[tuple[Margin, Atom]], fates: Fates) -> str:
    """Every sample with its margins: each rule's over the items that it saw."""
    by_view: dict[str, list[str]] = {}
    for margin, atom in margins:
        view = fates.views[margin.step]
        column = f"({compile_margin(atom, view.layout)}) / {margin.scale!r} AS {margin.column}"
        by_view.setdefault(view.relation, []).append(column)
    first, *others = by_view or {"samples": []}
    sql = f"SELECT {', '.join(['ordinal', 'id', 'key', *by_view.get(first, ())])} FROM {first}"
    for relation in others:
        more = f"SELECT ordinal, {', '.join(by_view[relation])} FROM {relation}"
        sql = f"SELECT * FROM ({sql}) JOIN ({more}) USING (ordinal)"
    return f"{sql} ORDER BY ordinal" if others else sql


def _batches(relation: Any) -> Iterator[pa.Table]:
    """Its rows in chunks; where it has none, one chunk without rows, which still has the columns."""
    reader = relation.to_arrow_reader(CHUNK_ROWS)
    found = False
    for batch in reader:
        if batch.num_rows:
            found = True
            yield pa.Table.from_batches([batch])
    if not found:
        yield reader.schema.empty_table()


def _start(batch: pa.Table) -> int:
    return int(batch.column("ordinal")[0].as_py()) if batch.num_rows else 0


def _with_fates(
    batch: pa.Table, fates: Fates, names: list[str], placed: Mapping[str, np.ndarray[Any, Any]]
) -> pa.Table:
    start = _start(batch)
    here = slice(start, start + batch.num_rows)
    step = fates.step[here]
    failing: list[list[str]] = [[] for _ in range(batch.num_rows)]
    for number in fates.verdicts:
        for row in np.flatnonzero(fates.fails(number, here) & (fates.fate[here] != FATES.index("failed"))):
            failing[row].append(names[number])
    twins = fates.duplicate_of[here]
    extra = {
        "fate": pa.array([FATES[f] for f in fates.fate[here]], pa.string()),
        "rule": pa.array([names[s] if s >= 0 else None for s in step], pa.string()),
        "failing": pa.array(failing, pa.list_(pa.string())),
        "reason": pa.array([fates.reason.get(o) for o in range(here.start, here.stop)], pa.string()),
        "duplicate_of": pa.array(twins, pa.int64(), mask=twins < 0),
        "similarity": pa.array(fates.score[here], pa.float32(), mask=np.isnan(fates.score[here])),
    }
    for name, values in placed.items():
        extra[name] = pa.array(values[here], mask=values[here] < 0)
    for name, values in extra.items():
        batch = batch.append_column(name, values)
    return batch


ITEMS_DROPPED = pa.list_(
    pa.struct([("item", pa.int32()), ("rule", pa.string()), ("fate", pa.string()), ("reason", pa.string())])
)
"""The items that a sample lost: each one's index among its items, by which step, as what, and why."""


def _items_dropped(batch: pa.Table, fates: Fates, names: list[str], connection: Any) -> pa.Array:
    start = _start(batch)
    ordinals = [o for o in range(start, start + batch.num_rows) if fates.dropped_items.get(o)]
    if not ordinals:
        return pa.nulls(batch.num_rows, ITEMS_DROPPED)
    sql = "SELECT ordinal, [i.modality for i in items] FROM samples WHERE ordinal BETWEEN ? AND ?"
    modalities = dict(connection.execute(sql, [ordinals[0], ordinals[-1]]).fetchall())
    lists: list[list[dict[str, Any]] | None] = [None] * batch.num_rows
    for ordinal in ordinals:
        lost = fates.dropped_items[ordinal]
        found = zip(indices(modalities[ordinal], lost), lost.values(), strict=True)
        lists[ordinal - start] = [
            {
                "item": item,
                "rule": names[fate.step] if fate.step >= 0 else None,
                "fate": FATES[fate.fate],
                "reason": fate.reason or None,
            }
            for item, fate in sorted(found, key=lambda each: each[0])
        ]
    return pa.array(lists, ITEMS_DROPPED)


def read_margins(selection: Location) -> list[Margin]:
    """The margins' meaning, from a selection's metadata."""
    source: Any = selection.path if selection.is_local else pa.BufferReader(selection.read())
    metadata = pq.read_schema(source).metadata or {}
    return [Margin(**m) for m in json.loads(metadata.get(_INFO, b"[]"))]
