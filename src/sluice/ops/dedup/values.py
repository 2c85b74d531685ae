"""What a deduplicator may ask of a column that is larger than memory, whoever keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


class Values(Protocol):
    """The values of a column, read by the block. Reading them twice gives the same."""

    def __len__(self) -> int:
        """The number of values."""

    @property
    def folder(self) -> Path | None:
        """Where a large unnamed file may lie for a while; None: in the system's own place."""

    def blocks(self) -> Iterator[pa.Array]:
        """All values in order, in pieces that memory holds easily."""

    def take(self, rows: NDArray[np.int64]) -> Iterator[pa.Array]:
        """The values of these ascending rows, in order, in such pieces."""


@dataclass(frozen=True)
class ArrayValues:
    """Values that are in memory already."""

    array: pa.Array

    def __len__(self) -> int:
        return len(self.array)

    @property
    def folder(self) -> None:
        """None: what is in memory may lie in the system's own place."""
        return None

    def blocks(self) -> Iterator[pa.Array]:
        """All values, in one piece."""
        yield self.array

    def take(self, rows: NDArray[np.int64]) -> Iterator[pa.Array]:
        """The values of these rows, in one piece."""
        yield self.array.take(pa.array(rows))


def values_of(column: Values | pa.Array | pa.ChunkedArray) -> Values:
    """A column of any form as `Values`."""
    if isinstance(column, pa.ChunkedArray):
        return ArrayValues(column.combine_chunks())
    return ArrayValues(column) if isinstance(column, pa.Array) else column
