"""The stored values of a column kept aside, read by the block, for deduplicators that cannot hold them all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

BLOCK_ROWS = 1 << 10
"""Values of a block: 2 MB of usual sketches, 3 MB of 768 single-precision numbers."""


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

    def blocks(self) -> Iterator[pa.Array]:
        """All values in order, at most `BLOCK_ROWS` at a time."""
        yield from self.take(np.arange(len(self.rows)))

    def take(self, rows: NDArray[np.int64]) -> Iterator[pa.Array]:
        """The values of these ascending rows, in order, at most `BLOCK_ROWS` at a time.

        Reads only the row groups they lie in.
        """
        wanted = self.rows[rows]
        with pq.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20) as file:
            sizes = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
            stops = np.cumsum(sizes, dtype=np.int64)
            for group, first in enumerate(stops - sizes):
                if np.searchsorted(wanted, first) == np.searchsorted(wanted, stops[group]):
                    continue
                start = int(first)
                for batch in file.iter_batches(BLOCK_ROWS, [group], [self.kind]):
                    low, high = np.searchsorted(wanted, [start, start + len(batch)])
                    if low < high:
                        yield batch.column(0).take(pa.array(wanted[low:high] - start))
                    start += len(batch)
