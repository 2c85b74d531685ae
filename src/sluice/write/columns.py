"""The table beside a shard: ids, keys, measures, and the source's own fields in columns of one type each."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from sluice.errors import UsageError
from sluice.sample.members import FIELDS_COLUMN
from sluice.write.bodies import Intake

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
            fields = fields.set_column(at, name, _as_vectors(fields.column(at), kind.list_size, wanted))
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
    for name, column in typed_columns(intake.fields).items():
        columns.setdefault(f"source_{name}" if name in _RESERVED else name, column)
    return pa.table(columns)


def typed_columns(
    rows: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType] | None = None
) -> dict[str, pa.Array]:
    """Fields as columns. Values that fit no common type go, by row, as JSON into `FIELDS_COLUMN`.

    With `types` the columns are those, whatever the rows hold.
    """
    names = list(types) if types is not None else list(dict.fromkeys(n for row in rows for n in row))
    columns: dict[str, pa.Array] = {}
    left: list[dict[str, Any]] = [{} for _ in rows]
    if types is not None:
        for k, row in enumerate(rows):
            left[k] = {n: v for n, v in row.items() if n not in types and v is not None}
    for name in names:
        if name == FIELDS_COLUMN:
            continue
        values = [row.get(name) for row in rows]
        column = _column(values, types[name] if types is not None else None)
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


def _column(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    """The values as one column; those that do not fit are null in it."""
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, ValueError, TypeError):
        pass
    kind = kind if kind is not None else _most_common_type(values)
    return pa.array([v if _fits(v, kind) else None for v in values], kind)


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        pa.array([value], kind)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, ValueError, TypeError):
        return False
    return True


def _most_common_type(values: list[Any]) -> pa.DataType:
    """The type of the first value that has one: columns of mixed types are rare, and nothing is lost."""
    for value in values:
        if value is not None:
            try:
                return pa.array([value]).type
            except (pa.ArrowException, OverflowError, UnicodeEncodeError, ValueError, TypeError):
                continue
    return pa.null()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, default=plain)


def plain(value: Any) -> Any:
    """A value as JSON can hold it: bytes in hexadecimal, times in ISO 8601, everything else as text."""
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value)


def json_rows(fields: pa.Table | None) -> list[dict[str, Any]] | None:
    """The fields row by row as JSON values: no vectors, no NaN, no id and key."""
    if fields is None:
        return None
    names = [n for n in fields.column_names if n not in ("id", "key")]
    columns = {n: [json_value(v) for v in fields.column(n).to_pylist()] for n in names}
    return [{n: columns[n][k] for n in names} for k in range(fields.num_rows)]


def json_value(value: Any) -> Any:
    """A value that strict JSON can hold; NaN and infinities become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): json_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(v) for v in value]
    return value if value is None or isinstance(value, str | int | bool) else plain(value)
