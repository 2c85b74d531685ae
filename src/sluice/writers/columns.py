"""The table beside a shard: ids, keys, measures, and the source's own fields in columns of one type each."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from sluice.errors import UsageError
from sluice.sample.fields import json_value, plain, types_of
from sluice.sample.members import FIELDS_COLUMN
from sluice.writers.bodies import Intake

Embeddings = Literal["none", "float16", "float32"]
_RESERVED = ("id", "key", "parent", "items")


def check_embeddings(value: str) -> Embeddings:
    """The setting, or `UsageError` where it is none of the three."""
    for known in ("none", "float16", "float32"):
        if value == known:
            return known
    raise UsageError(f"embeddings: {value!r} is unknown", fix="use none, float16 or float32")


def measures(fields: pa.Table | None, embeddings: Embeddings) -> pa.Table | None:
    """The fields with their vectors (fixed-size lists of floats) left out, halved or kept."""
    if fields is None:
        return None
    for name in fields.column_names:
        at = fields.schema.get_field_index(name)
        kind = fields.schema.field(at).type
        if not (pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type)):
            continue
        if embeddings == "none":
            fields = fields.remove_column(at)
        else:
            wanted = pa.float16() if embeddings == "float16" else pa.float32()
            vectors = _as_vectors(fields.column(at), kind.list_size, wanted)
            fields = fields.set_column(at, fields.schema.field(at).with_type(vectors.type), vectors)
    return fields


def _as_vectors(column: pa.ChunkedArray, size: int, wanted: pa.DataType) -> pa.Array:
    array = column.combine_chunks()
    if array.type.value_type == wanted:
        return array
    flat = np.asarray(
        array.values.slice(array.offset * size, len(array) * size).to_numpy(zero_copy_only=False)
    )
    values = pa.array(flat.astype(wanted.to_pandas_dtype()), wanted)
    return pa.FixedSizeListArray.from_arrays(values, size, mask=array.is_null() if array.null_count else None)


def beside(intake: Intake, fields: pa.Table | None, extra: Mapping[str, pa.Array]) -> pa.Table:
    """One row a written sample, in order: id, key, what the format adds, measures, source fields."""
    columns: dict[str, Any] = {
        "id": pa.array(intake.ids, pa.string()),
        "key": pa.array(intake.keys, pa.string()),
    }
    columns |= extra
    if fields is not None:
        taken = fields.take(pa.array(intake.kept, pa.int64()))
        columns |= {n: taken.column(n) for n in taken.column_names if n not in columns}
    rows = [renamed(row, columns) for row in intake.fields]
    hints = hints_of(intake.fields, columns)
    return described(pa.table(columns | typed_columns(rows, hints=hints)), fields)


def hints_of(rows: Sequence[Mapping[str, Any]], taken: Container[str]) -> dict[str, pa.DataType]:
    """The types that the rows' fields are known to have, by the names of `renamed`; also of fields without a value."""
    hints: dict[str, pa.DataType] = {}
    for row in rows:
        hints |= types_of(row)
    return renamed(hints, taken)


def described(table: pa.Table, fields: pa.Table | None) -> pa.Table:
    """The table with what the metadata of `fields` says of its columns (the models behind them)."""
    told = {f.name: f.metadata for f in fields.schema if f.metadata} if fields is not None else {}
    if not told:
        return table
    schema = pa.schema([f.with_metadata(told[f.name]) if f.name in told else f for f in table.schema])
    return pa.Table.from_arrays(table.columns, schema=schema)


def renamed(fields: Mapping[str, Any], taken: Container[str]) -> dict[str, Any]:
    """The fields under names of their own: one whose name is taken, or reserved, is called `source_…`."""
    result = {}
    for name, value in fields.items():
        free = name
        while free in taken or free in _RESERVED or (free != name and free in fields):
            free = f"source_{free}"
        result[free] = value
    return result


def typed_columns(
    rows: Sequence[Mapping[str, Any]],
    types: Mapping[str, pa.DataType] | None = None,
    *,
    hints: Mapping[str, pa.DataType] | None = None,
    nulls: bool = False,
) -> dict[str, pa.Array]:
    """Fields as columns. Values that fit no common type go, by row, as JSON into `FIELDS_COLUMN`.

    With `types` the columns are those, whatever the rows hold; `hints` are types of some that need not be found
    out. With `nulls` a value that is there and null goes to that column too, so that it is told from none.
    """
    wanted = types if types is not None else hints or {}
    names = (
        list(types)
        if types is not None
        else list(dict.fromkeys([*wanted, *(n for row in rows for n in row)]))
    )
    columns: dict[str, pa.Array] = {}
    left: list[dict[str, Any]] = [{} for _ in rows]
    for k, row in enumerate(rows):
        if types is not None:
            left[k] = {n: v for n, v in row.items() if n not in types and v is not None}
        if nulls:
            left[k] |= {n: None for n, v in row.items() if v is None}
    for name in names:
        if name == FIELDS_COLUMN:
            continue
        found = (row.get(name) for row in rows)
        values = [v.item() if isinstance(v, np.generic) else v for v in found]
        column = _column(values, wanted.get(name))
        kept = column.to_pylist()
        misfits = [k for k, v in enumerate(values) if repr(kept[k]) != repr(v)]
        if misfits:
            for k in misfits:
                left[k][name] = values[k]
            column = _column([None if k in set(misfits) else v for k, v in enumerate(values)], column.type)
        columns[name] = column
    if any(left) or (types is not None and FIELDS_COLUMN in types):
        columns[FIELDS_COLUMN] = pa.array([_json(row) if row else None for row in left], pa.string())
    return columns


_REFUSALS = (pa.ArrowException, OverflowError, UnicodeEncodeError, ValueError, TypeError)


def _column(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    """The values as one column; those that do not fit its type are null in it."""
    first = next((type(v) for v in values if v is not None), None)
    alike = [v if type(v) is first else None for v in values]
    for candidate in (values, alike):
        try:
            column = pa.array(candidate, kind)
        except _REFUSALS:
            continue
        if _storable(column.type):
            return column
    return pa.nulls(len(values), kind or pa.null())


def _storable(kind: pa.DataType) -> bool:
    """Can Parquet hold the type? It has no structs without fields."""
    children = [kind.field(k).type for k in range(kind.num_fields)]
    return not (pa.types.is_struct(kind) and not children) and all(_storable(c) for c in children)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, default=plain)


def json_rows(fields: pa.Table | None) -> list[dict[str, Any]] | None:
    """The fields row by row as JSON values: no vectors, no NaN, no id and key."""
    if fields is None:
        return None
    names = [n for n in fields.column_names if n not in ("id", "key")]
    columns = {n: [json_value(v) for v in fields.column(n).to_pylist()] for n in names}
    return [{n: columns[n][k] for n in names} for k in range(fields.num_rows)]
