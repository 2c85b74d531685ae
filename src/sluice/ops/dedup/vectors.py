"""Vectors of which there may be more than memory: in an array, or in a file of which a few are read at a time."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias, cast

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from sluice.errors import UsageError
from sluice.ops.dedup.collect import Rows
from sluice.ops.dedup.identical import first_vectors

BLOCK = 4096
"""Rows looked at together: against as many others 64 MB of cosines."""

_NARROW = 1024  # rows made wide (double precision) at a time: they stay in the processor's cache


class Vectors:
    """Single-precision vectors [n, dim], read by rows: from memory, or from a file.

    The file is read, not mapped: for each page that is looked at a kernel may map, and count as this process's
    memory, hundreds of kilobytes around it.
    """

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        self._matrix: NDArray[np.float32] | None = matrix
        self._length, self.dim = matrix.shape
        self._file = -1

    @classmethod
    def spooled(cls, blocks: Iterable[NDArray[np.float32]], dim: int, folder: Path | None = None) -> Vectors:
        """Vectors put into an unnamed file in `folder` (default: the system's), which ends with this object."""
        found = cls(np.empty((0, dim), np.float32))
        with cast(IO[bytes], tempfile.TemporaryFile(dir=folder)) as file:
            for block in blocks:
                file.write(np.ascontiguousarray(block, np.float32).data)
                found._length += len(block)
            file.flush()
            found._file = os.dup(file.fileno())
        weakref.finalize(found, os.close, found._file)
        found._matrix = None
        return found

    def __len__(self) -> int:
        return int(self._length)

    def take(self, rows: Rows | slice) -> NDArray[np.float32]:
        """These rows, not to be written to."""
        if self._matrix is not None:
            return self._matrix[rows]
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return self._run(start, stop)
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
            return self._run(int(rows[0]), int(rows[-1]) + 1)
        found = np.empty((len(rows), self.dim), np.float32)
        size = found.itemsize * self.dim
        for place, row in enumerate(rows.tolist()):
            os.preadv(self._file, [found[place]], row * size)
        return found

    def _run(self, start: int, stop: int) -> NDArray[np.float32]:
        found = np.empty((stop - start, self.dim), np.float32)
        size, done = found.itemsize * self.dim, 0
        while done < found.nbytes:  # one call reads 2 GB at most
            done += os.preadv(self._file, [found.data.cast("B")[done:]], start * size + done)
        return found

    def blocks(self, rows: int = BLOCK) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """All rows in order, `rows` at a time, each piece with the number of its first row."""
        for start in range(0, len(self), rows):
            yield start, self.take(slice(start, start + rows))


Column: TypeAlias = Vectors | pa.Array | pa.ChunkedArray | NDArray[np.float32]


def vectors_of(column: Column) -> Vectors:
    """The vectors of an Arrow column or array; a null vector, or a null in one, becomes NaN."""
    if isinstance(column, Vectors):
        return column
    if isinstance(column, np.ndarray):
        if column.ndim != 2:
            raise UsageError(f"vectors are of shape [n, dim], not {column.shape}")
        return Vectors(np.ascontiguousarray(column, dtype=np.float32))
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_fixed_size_list(whole.type):
        raise UsageError(
            f"a column of type {whole.type} holds no vectors of one length",
            fix="give an embedding (fixed-size list of floats), such as image_descriptor",
        )
    dim = whole.type.list_size
    values = whole.values.slice(whole.offset * dim, len(whole) * dim)
    matrix = np.array(values.to_numpy(zero_copy_only=False), dtype=np.float32).reshape(len(whole), dim)
    matrix[whole.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return Vectors(matrix)


@dataclass(frozen=True)
class Directions:
    """Vectors with what must be known of each before any are compared."""

    vectors: Vectors
    norms: NDArray[np.float64]
    """[n] Euclidean norms; 0 where a vector has no direction: it is zero or not finite."""
    first: Rows
    """[n] the first row that holds the same vector; -1 where it has no direction."""
    luck: NDArray[np.uint64]
    """[n] xxh3-64 of the vector's bytes with the seed: a random order that no row's place changes."""

    @property
    def distinct(self) -> Rows:
        """The rows whose vector no earlier row holds."""
        return np.flatnonzero(self.first == np.arange(len(self.first)))

    def units(self, rows: Rows | slice) -> NDArray[np.float32]:
        """[m, dim] rows that have a direction, at length 1."""
        return lengthened(self.vectors.take(rows), 1 / self.norms[rows])


def directions(vectors: Vectors, seed: int = 0) -> Directions:
    """Look once at every vector."""
    norms, luck = np.zeros(len(vectors)), np.zeros(len(vectors), np.uint64)
    for start, block in vectors.blocks(_NARROW):
        part = slice(start, start + len(block))
        wide = block.astype(np.float64)  # squares of single-precision numbers stay finite in it
        norms[part] = np.sqrt((wide * wide).sum(axis=1))
        luck[part] = [xxhash.xxh3_64_intdigest(row, seed=seed) for row in block]
    norms[~np.isfinite(norms)] = 0
    return Directions(vectors, norms, first_vectors(vectors, norms > 0, luck), luck)


def lengthened(rows: NDArray[np.float32], factors: NDArray[np.float64]) -> NDArray[np.float32]:
    """[m, dim] each row times its factor, rounded to single precision."""
    with np.errstate(over="ignore", under="ignore"):
        narrow = factors.astype(np.float32)
    if np.isfinite(narrow).all() and (narrow >= np.finfo(np.float32).tiny).all():
        scaled: NDArray[np.float32] = rows * narrow[:, None]
        return scaled
    return (rows * factors[:, None]).astype(np.float32)  # lengths beyond single precision's range
