"""Reads a source as a splitter cuts it: the rows of a slice are the children of its samples, parent by parent."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from itertools import accumulate, count
from typing import Protocol

from sluice.operator.instance import Instance
from sluice.operator.mapping import MapperChain
from sluice.operator.splitting import Family, Splitter, worst
from sluice.readers.protocol import Reader, Slice
from sluice.sample import Note, Sample
from sluice.sample.document import is_document


class Attendant(Protocol):
    """Is told which parent is under way and what became of it; parents count from 0 in their slice."""

    def begins(self, number: int) -> None:
        """A parent is about to be mapped and split."""

    def ended(self, number: int, family: Family) -> None:
        """This is what it was split into. Told of every parent, also of those that are left alone."""


class SplitReader:
    """A reader whose samples are the children of another's, after some mappers.

    A slice that knows how many children each of its samples has (`Slice.children`) is read by row: only parents
    whose children are asked for are read, and none that has none. Otherwise every parent is split, to count.
    New texts lie nowhere, so it is not `addressable`: survivors are split again when they are written.
    """

    addressable = False

    def __init__(self, inner: Reader, mappers: Sequence[Instance], splitter: Instance) -> None:
        self.format, self.version = inner.format, inner.version
        self._inner = inner
        self._chain = MapperChain(mappers) if mappers else None
        self._split = Splitter(splitter)
        self._attendant: Attendant | None = None
        self._left_alone: Mapping[int, Note] = {}
        self._most: int | None = None

    def attended(
        self, attendant: Attendant, left_alone: Mapping[int, Note], most: int | None = None
    ) -> SplitReader:
        """The same reader with an attendant.

        The parents `left_alone` are not split, for the reason given; of a slice at most `most` are read.
        """
        same = copy(self)
        same._attendant, same._left_alone, same._most = attendant, left_alone, most
        return same

    def slices(self) -> Iterator[Slice]:
        """The slices of the source."""
        return self._inner.slices()

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The children of a slice's samples, or the rows asked for, each made as it is asked for.

        Where a slice knows a parent's children and they cannot be made again, samples with a `read` note stand
        in their places.
        """
        if part.children is None:
            families = enumerate(self._families(part, None))
            made = (child for _, family in families for child in family.children)
            return (child for row, child in enumerate(made) if rows is None or row in rows)
        return self._known(part, part.children, rows)

    def _known(self, part: Slice, counts: Sequence[int], rows: Container[int] | None) -> Iterator[Sample]:
        first = list(accumulate(counts, initial=0))
        asked = {
            number: [k for k in range(n) if rows is None or first[number] + k in rows]
            for number, n in enumerate(counts)
        }
        wanted = [number for number, places in asked.items() if places]
        for number, family in zip(wanted, self._families(part, wanted), strict=False):
            found = len(family.children) == counts[number]
            for k in asked[number]:
                yield family.children[k] if found else self._lost(family, k)

    def _lost(self, family: Family, position: int) -> Sample:
        note = family.note or Note("read", "split otherwise than before")
        notes = (Note("read", note.reason, note.detail, "read"),)
        child = self._split.child(family.parent, position, replace(family.parent, items=()))
        return replace(child, notes=(note, *notes) if note.kind == "crash" else notes)

    def _families(self, part: Slice, wanted: Sequence[int] | None) -> Iterator[Family]:
        numbers = count() if wanted is None else iter(wanted)
        for sample in self._inner.read(part, None if wanted is None else set(wanted)):
            number = next(numbers)
            if self._most is not None and number >= self._most:
                return
            family = self._family(number, sample)
            if self._attendant is not None:
                self._attendant.ended(number, family)
            yield family

    def _family(self, number: int, sample: Sample) -> Family:
        if number in self._left_alone:
            return Family(sample, note=self._left_alone[number])
        if sample.notes and not _goes_on(sample):
            return Family(sample, note=worst(sample.notes))
        if self._attendant is not None:
            self._attendant.begins(number)
        if self._chain is not None:
            known = len(sample.notes)
            (sample,) = self._chain([sample])
            faults = [note for note in sample.notes[known:] if note.kind != "declined"]
            if faults:  # the old version must not pass for the new one
                return Family(sample, note=faults[0])
        return self._split(sample)


def _goes_on(sample: Sample) -> bool:
    """Whether it is a document of which only some items could not be read: the splitter sees them without media."""
    names = [item.name for item in sample.items]
    modalities = [item.modality for item in sample.items]
    return is_document(modalities, names) and all(note.item >= 0 for note in sample.notes)
