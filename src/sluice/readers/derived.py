"""Reads a source as mappers and splitters change it: everything downstream sees what they made only."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from itertools import count
from typing import cast

from sluice.operator.instance import Instance
from sluice.operator.mapping import MapperChain
from sluice.readers.protocol import Reader, Slice
from sluice.readers.splitting import Attendant, SplitReader
from sluice.sample import Note, Sample


def derived(reader: Reader, steps: Sequence[Instance]) -> Reader:
    """The reader with these mappers and splitters, in their order, or as it is where there are none."""
    mappers: list[Instance] = []
    for step in steps:
        if step.spec.kind == "splitter":
            reader, mappers = cast("Reader", SplitReader(reader, mappers, step)), []
        else:
            mappers.append(step)
    return cast("Reader", DerivedReader(reader, mappers)) if mappers else reader


def attended(
    reader: Reader, attendant: Attendant, left_alone: Mapping[int, Note], most: int | None
) -> Reader:
    """The same reader, its splitter with an attendant; see `SplitReader.attended`."""
    if isinstance(reader, DerivedReader):
        inner = attended(reader.inner, attendant, left_alone, most)
        return cast("Reader", reader.over(inner))
    assert isinstance(reader, SplitReader)
    return cast("Reader", reader.attended(attendant, left_alone, most))


def leaving(reader: Reader, rows: Collection[int]) -> Reader:
    """The same reader, but that its mappers leave these rows of a slice alone (they killed a worker)."""
    if not rows or not isinstance(reader, DerivedReader):
        return reader
    return cast("Reader", DerivedReader(reader.inner, reader.mappers, rows))


class DerivedReader:
    """A reader whose samples have gone through mappers, one after another.

    Slices, ids, keys and rows are those of the source. New bytes lie nowhere, so it is not `addressable`:
    survivors are read and mapped again when they are written. A sample whose mapper failed carries the reason
    as a note of its reading.
    """

    addressable = False

    def __init__(
        self, inner: Reader, mappers: Sequence[Instance], left_alone: Collection[int] = frozenset()
    ) -> None:
        self.inner, self.mappers, self.left_alone = inner, tuple(mappers), left_alone
        self.format, self.version = inner.format, inner.version
        self._chain = MapperChain(self.mappers)

    def over(self, inner: Reader) -> DerivedReader:
        """The same mappers over another reader."""
        same = copy(self)
        same.inner = inner
        return same

    def slices(self) -> Iterator[Slice]:
        """The slices of the source."""
        return self.inner.slices()

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The new versions of a slice's samples, made one by one as they are asked for."""
        numbers = (n for n in count() if rows is None or n in rows)
        for sample in self.inner.read(part, rows):
            alone = self.left_alone and next(numbers) in self.left_alone
            yield sample if alone else self._mapped(sample)

    def _mapped(self, sample: Sample) -> Sample:
        if any(note.kind == "read" for note in sample.notes):
            return sample
        (mapped,) = self._chain([sample])
        # What reading brought up belongs to no column: it counts whatever a recipe measures.
        new = (replace(note, operator="read") for note in mapped.notes[len(sample.notes) :])
        return replace(mapped, notes=(*sample.notes, *new))
