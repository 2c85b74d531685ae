"""Reads only the first samples of a source, whatever its format."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import replace
from itertools import islice

from sluice.errors import UsageError
from sluice.readers.protocol import Reader, Slice
from sluice.sample import Sample


class LimitedReader:
    """A reader that stops after `limit` samples.

    The last slice keeps its range and says in `samples` how many of it are meant; slices whose number of
    samples listing could not tell are counted by reading them, up to the limit.
    """

    def __init__(self, inner: Reader, limit: int) -> None:
        if limit < 1:
            raise UsageError(f"a limit of {limit} samples reads nothing", fix="use a limit of at least 1")
        self.inner, self.limit = inner, limit
        self.format, self.version, self.addressable = inner.format, inner.version, inner.addressable

    def slices(self) -> Iterator[Slice]:
        """The slices that hold the first `limit` samples."""
        left = self.limit
        for part in self.inner.slices():
            count = part.samples
            if count is None:
                count = sum(1 for _ in islice(self.inner.read(part), left))
            yield replace(part, samples=min(count, left))
            left -= min(count, left)
            if left == 0:
                return

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The first `part.samples` samples of the slice."""
        if rows is None:
            return islice(self.inner.read(part), part.samples)
        most = part.samples if part.samples is not None else self.limit
        return self.inner.read(part, _Below(rows, most))


class _Below(Container[int]):
    """The rows below a bound."""

    def __init__(self, rows: Container[int], most: int) -> None:
        self._rows, self._most = rows, most

    def __contains__(self, row: object) -> bool:
        return isinstance(row, int) and row < self._most and row in self._rows
