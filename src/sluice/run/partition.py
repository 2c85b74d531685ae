"""Into which partition each kept sample goes, and what becomes of one that has none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sluice.errors import UsageError
from sluice.recipe.recipe import Write
from sluice.sample.members import safe_member
from sluice.store import Fates, Table

NO_VALUE = "no value to partition by"
NO_PATH = "partition is no path"
"""Why samples fail whose value is null, or could not be the name of a folder."""

_WHY = """
SELECT ordinal, any_value(note.reason ORDER BY note.reason)
FROM (SELECT ordinal, unnest(notes) AS note FROM samples WHERE notes IS NOT NULL)
WHERE note.kind = 'declined' AND note.operator = ? GROUP BY ordinal
"""


def fail_without_partition(table: Table, fates: Fates, write: Write | None) -> None:
    """Let kept samples fail that belong to no partition, so that none is left out without a word.

    The reason is that of the operator that had nothing to say (after its name), where it was one.
    """
    if write is None or write.partition_by is None:
        return
    ordinals = np.flatnonzero(fates.kept)
    values = partition_values(table, write.partition_by, ordinals)
    missing = ordinals[np.asarray(pc.is_null(values))]
    why = dict(table.connect().execute(_WHY, [write.partition_by]).fetchall()) if len(missing) else {}
    for ordinal in missing.tolist():
        reason = why.get(ordinal)
        fates.fail(ordinal, f"{write.partition_by}: {reason}" if reason else NO_VALUE)
    for value in pc.unique(values.drop_null()).to_pylist():
        if not value or safe_member(value) != value or value.startswith("./"):
            for ordinal in ordinals[np.asarray(pc.fill_null(pc.equal(values, value), False))].tolist():
                fates.fail(ordinal, NO_PATH)


def partition_values(table: Table, column: str, ordinals: NDArray[np.int64]) -> pa.Array:
    """The value of each of these ascending ordinals, as text; null where there is none."""
    if not len(ordinals):
        return pa.array([], pa.string())
    found = table.take(ordinals, [column]).column(0).combine_chunks()
    if pa.types.is_list(found.type):
        raise UsageError(
            f"samples have several values of {column!r}",
            where="write.partition_by",
            fix="name a field of samples",
        )
    return found.cast(pa.string())


def bytes_of(table: Table, ordinals: NDArray[np.int64], modality: str | None) -> NDArray[np.int64]:
    """The bytes of these ascending ordinals that count against a shard: all, or those of one modality's items."""
    if modality is None:
        sizes = [pq.read_table(path, columns=["size_bytes"]).column(0) for path in table.paths()]
        found: NDArray[np.int64] = pa.chunked_array(sizes, pa.int64()).to_numpy()[ordinals]
        return found
    totals = [_of_modality(batch, modality) for path in table.paths() for batch in _items(path)]
    return np.concatenate([np.empty(0, np.int64), *totals])[ordinals]


def _items(path: object) -> list[pa.RecordBatch]:
    return list(
        pq.ParquetFile(path).iter_batches(columns=["items.list.element.modality", "items.list.element.size"])
    )


def _of_modality(batch: pa.RecordBatch, modality: str) -> NDArray[np.int64]:
    items = batch.column("items")
    flat, row = pc.list_flatten(items), pc.list_parent_indices(items).to_numpy()
    wanted = np.asarray(pc.equal(pc.struct_field(flat, "modality"), modality))
    sizes = pc.fill_null(pc.struct_field(flat, "size"), 0).to_numpy(zero_copy_only=False)
    return np.bincount(row[wanted], weights=sizes[wanted], minlength=batch.num_rows).astype(np.int64)
