"""The values of a column that can be compared: which sample and item each belongs to, and where it is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sluice.ops.dedup.vectors import Vectors
from sluice.store.aside import ASIDE
from sluice.store.fates import ItemsGone
from sluice.store.table import Table
from sluice.store.values import StoredValues

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Entries:
    """The values of one column that are not null, in source order; an entry's number is its place here."""

    table: Table
    column: str
    samples: Rows
    """[m] the ordinal of each value's sample, ascending."""
    items: Rows
    """[m] the item's number among the sample's items of its modality; 0 for values of the sample."""

    @classmethod
    def of(cls, table: Table, column: str) -> Entries:
        """The entries of a stored measure, or of a column of the source."""
        if _kind(table, column) in ASIDE:
            found = pq.read_table(table.aside(column), columns=["ordinal", "item"])
            return cls(
                table, column, *(found.column(n).to_numpy().astype(np.int64) for n in found.column_names)
            )
        values = _wide(table, column)
        if not pa.types.is_list(values.type):
            samples = np.flatnonzero(values.is_valid().to_numpy())
            return cls(table, column, samples, np.zeros_like(samples))
        samples, items, valid = _flat(values)
        return cls(table, column, samples[valid], items[valid])

    def __len__(self) -> int:
        return len(self.samples)

    def part(self, alive: Mask, gone: ItemsGone) -> Mask:
        """[m] which entries belong to samples alive and are not of an item that is gone."""
        found = alive[self.samples]
        modality = self.table.columns[self.column].modality if self.column in self.table.columns else None
        keys = [o << 32 | at for o, lost in gone.items() for of, at in lost if of == modality]
        if keys:
            found &= ~np.isin(self.samples << 32 | self.items, np.array(keys, np.int64))
        return found

    def values(self, chosen: Rows, scratch: Path | None) -> Any:
        """The values of these ascending entries, as deduplicators take them.

        Vectors go through an unnamed file in the folder `scratch`, so that they need not fit in memory.
        """
        kind = _kind(self.table, self.column)
        if kind in ASIDE:
            stored = StoredValues(self.table.aside(self.column), kind, chosen)
            if kind == "binary":
                return stored
            dim = self.table.columns[self.column].size or 1
            return Vectors.spooled((_matrix(block, dim) for block in stored.blocks()), dim, scratch)
        values = _wide(self.table, self.column)
        if not pa.types.is_list(values.type):
            return values.take(pa.array(self.samples[chosen])).combine_chunks()
        valid = np.flatnonzero(_flat(values)[2])
        return pa.chunked_array([c.flatten() for c in values.chunks]).take(pa.array(valid[chosen]))


def _kind(table: Table, column: str) -> str:
    return table.columns[column].kind if column in table.columns else "text"


def _wide(table: Table, column: str) -> pa.ChunkedArray:
    pieces = [pq.read_table(path, columns=[column]).column(0) for path in table.paths()]
    if not pieces:
        return pa.chunked_array([], pa.null())
    return pa.chunked_array([chunk for piece in pieces for chunk in piece.chunks], pieces[0].type)


def _flat(values: pa.ChunkedArray) -> tuple[Rows, Rows, Mask]:
    """For each entry of the lists its row, its place in the list, and whether it is a value."""
    lengths = pa.compute.fill_null(pa.compute.list_value_length(values), 0).to_numpy().astype(np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    valid = [chunk.flatten().is_valid().to_numpy(zero_copy_only=False) for chunk in values.chunks]
    return rows, places, np.concatenate(valid) if valid else np.zeros(0, bool)


def _matrix(block: pa.Array, dim: int) -> NDArray[np.float32]:
    flat: NDArray[np.float32] = block.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, dim)
