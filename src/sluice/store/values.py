"""The stored values of a column kept aside, read by the block, for deduplicators that cannot hold them all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

BLOCK_BYTES = 4 << 20
"""About the size of a block: 2,000 usual sketches, or 1,400 vectors of 768 single-precision numbers."""


@dataclass(frozen=True)
class StoredValues:
    """Some rows of a column's file (see `sluice.store.aside`), as `sluice.ops.dedup.values.Values`."""

    path: Path
    kind: str
    """`vector` or `binary`: the file's column of values."""
    rows: NDArray[np.int64]
    """The rows of the file that are these values, ascending."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def folder(self) -> Path:
        """The folder of the file: it has room for such values."""
        return self.path.parent

    def blocks(self) -> Iterator[pa.Array]:
        """All values in order, about `BLOCK_BYTES` at a time."""
        yield from self.take(np.arange(len(self.rows)))

    def take(self, rows: NDArray[np.int64]) -> Iterator[pa.Array]:
        """The values of these ascending rows, in order, about `BLOCK_BYTES` at a time.

        Reads only the row groups they lie in.
        """
        wanted = self.rows[rows]
        with pq.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20) as file:
            start = 0
            for number in range(file.num_row_groups):
                group = file.metadata.row_group(number)
                if np.searchsorted(wanted, start) < np.searchsorted(wanted, start + group.num_rows):
                    size = max(1, BLOCK_BYTES * group.num_rows // max(1, group.total_byte_size))
                    for first, block in _blocks(file, number, self.kind, size):
                        low, high = np.searchsorted(wanted - start, [first, first + len(block)])
                        if low < high:
                            yield block.take(pa.array(wanted[low:high] - start - first))
                start += group.num_rows


def _blocks(file: pq.ParquetFile, group: int, column: str, size: int) -> Iterator[tuple[int, pa.Array]]:
    """A row group's values in pieces of `size`, each with the number of its first."""
    first = 0
    for batch in file.iter_batches(size, [group], [column]):
        yield first, batch.column(0)
        first += len(batch)
