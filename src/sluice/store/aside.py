"""Columns in files of their own: embeddings and sketches, which rules never read and which are large."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.plan.columns import Column
from sluice.storage import Location

ASIDE = frozenset({"vector", "binary"})
"""Kinds of values that are kept aside."""

GROUP_ROWS = 1 << 13
"""Rows of a row group: 24 MB of 768 single-precision numbers, so that a few rows can be read alone."""


def file_name(kind: str, column: str) -> str:
    """The name of a column's file beside the wide table."""
    return f"{'vectors' if kind == 'vector' else kind}-{column}.parquet"


def write_aside(target: Location, column: Column, lists: Iterable[pa.Array]) -> int | None:
    """Write one row a value that is not null: `ordinal`, `item` (among those of its modality), and the value.

    `lists` hold the column's entries in source order, one list a sample. Vectors lie in a column `vector`, all
    of the length of the first; returns that length (None for sketches, which lie in a column `binary`).
    """
    kind = column.output.kind
    pieces = _rows(lists)
    first = next(pieces, None)
    size = _vector_size(column, first) if kind == "vector" else None
    value_type = pa.list_(pa.float32(), size) if size else column.output.arrow
    schema = pa.schema([("ordinal", pa.int64()), ("item", pa.int32()), (kind, value_type)])
    with (
        (target / file_name(kind, column.name)).writer() as sink,
        pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=False) as writer,
    ):
        for ordinals, items, values in chain([first] if first else [], pieces):
            table = pa.Table.from_arrays([ordinals, items, values.cast(value_type)], schema=schema)
            writer.write_table(table, row_group_size=GROUP_ROWS)
    return size


def _rows(lists: Iterable[pa.Array]) -> Iterator[tuple[pa.Array, pa.Array, pa.Array]]:
    """Ordinals, item numbers and values of each piece that has any, null ones left out."""
    ordinal = 0
    for entries in lists:
        lengths = pc.fill_null(pc.list_value_length(entries), 0).to_numpy(zero_copy_only=False)
        rows = np.repeat(np.arange(len(entries)), lengths)
        item = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        flat = entries.flatten()
        valid = flat.is_valid()
        keep = valid.to_numpy(zero_copy_only=False)
        if keep.any():
            yield (
                pa.array(ordinal + rows[keep]),
                pa.array(item[keep].astype(np.int32)),
                flat.filter(valid),
            )
        ordinal += len(entries)


def _vector_size(column: Column, first: tuple[pa.Array, pa.Array, pa.Array] | None) -> int:
    declared = column.output.field.size or 0
    if declared > 0 or first is None:
        return max(declared, 0)
    return len(first[2][0])
