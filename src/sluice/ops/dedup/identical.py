"""Which rows hold the same value? Asked first by every deduplicator, so that copies never multiply pairs."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def first_rows(values: pa.Array | pa.ChunkedArray | NDArray[np.generic]) -> NDArray[np.int64]:
    """Return for each row the first row of the same value, and -1 where the value is null. Linear time."""
    column = pa.array(values) if isinstance(values, np.ndarray) else values
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    encoded = column.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return _first_of_codes(codes)


class Blocks(Protocol):
    """Rows of which a few are looked at together."""

    def __len__(self) -> int: ...

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.generic]:
        """These rows."""


def first_vectors(
    vectors: Blocks, usable: NDArray[np.bool_], digests: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """Return for each row of `vectors` the first row that is equal, and -1 where not `usable`.

    Rows are grouped by their 64-bit `digests` and then compared with the first of their group, so a collision
    cannot make two vectors one: it only leaves the later of them a row of its own.
    """
    first = np.full(len(vectors), -1, dtype=np.int64)
    rows = np.flatnonzero(usable)
    first[rows] = rows
    if not len(rows):
        return first
    found = rows[_first_of_codes(np.unique(digests[rows], return_inverse=True)[1].astype(np.int64))]
    again = np.flatnonzero(found != rows)
    for start in range(0, len(again), 4096):  # bounded copies of rows while comparing
        part = again[start : start + 4096]
        same = (vectors.take(rows[part]) == vectors.take(found[part])).all(axis=1)
        first[rows[part[same]]] = found[part[same]]
    return first


def _first_of_codes(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first index of each row's code (-1 stays -1); codes are small non-negative integers."""
    rows = np.arange(len(codes), dtype=np.int64)
    known = codes >= 0
    lowest = np.full(int(codes.max(initial=-1)) + 1, len(codes), dtype=np.int64)
    np.minimum.at(lowest, codes[known], rows[known])
    first = np.full(len(codes), -1, dtype=np.int64)
    first[known] = lowest[codes[known]]
    return first
