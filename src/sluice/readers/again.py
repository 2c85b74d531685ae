"""Reads samples of a source again, of which a part may be gone since they were measured."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.errors import StorageError
from sluice.readers.protocol import Reader, Slice
from sluice.sample import Sample


def read_again(reader: Reader, part: Slice, rows: Sequence[int]) -> Sequence[Sample | None]:
    """The samples of these ascending rows of a slice; None for each where it is gone or has not all of them now."""
    try:
        found = list(reader.read(part, set(rows)))
    except StorageError:
        found = []
    return found if len(found) == len(rows) else [None] * len(rows)
