"""The source's own columns in a wide table: under which name, and in which type where units disagree."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa

from sluice.store.fragments import Fragment, source_names


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A source column over all units: its own name, the one it has in the table, and its type there."""

    name: str
    stored: str
    kind: pa.DataType


def source_columns(
    bases: Sequence[Fragment], ours: Collection[str], measured: Collection[str]
) -> list[SourceColumn]:
    """All but those that are `ours`; where units disagree on a type, the wider one, at last text.

    A column that has the name of a measured one is called `source_…`.
    """
    types: dict[str, pa.DataType] = {}
    for base in bases:
        at = {name: base.marks[mark] for name, mark in base_marks(base).items() if name not in ours}
        if at:
            schema = base.read(list(at.values())).schema
            for name, physical in at.items():
                kind = schema.field(physical).type
                types[name] = _wider(types.get(name, kind), kind)
    names = source_names(list(types), measured)
    return [SourceColumn(name, names[name], kind) for name, kind in types.items()]


def base_marks(base: Fragment) -> dict[str, str]:
    """The marks of what the reader gave, by the column's own name."""
    return {mark.partition(":")[2]: mark for mark in base.marks if ":" in mark}


def _wider(a: pa.DataType, b: pa.DataType) -> pa.DataType:
    if a == b:
        return a
    if pa.types.is_nested(a) or pa.types.is_nested(b):
        return a if pa.types.is_null(b) else b if pa.types.is_null(a) else pa.string()
    try:
        both = [pa.schema([("x", kind)]) for kind in (a, b)]
        return pa.unify_schemas(both, promote_options="permissive").field(0).type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return pa.string()


def widened(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | pa.Array:
    """The values in a wider type; lists and structs become text as JSON."""
    if pa.types.is_nested(values.type) and values.type != kind:
        return pa.array([None if v is None else json.dumps(v, default=str) for v in values.to_pylist()], kind)
    return values.cast(kind, safe=False)  # the largest integers lose their last digits as floats
