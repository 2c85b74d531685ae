"""The mappers of what is written: survivors change on their way into a shard, once their bytes are verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from time import monotonic_ns
from typing import Any, TypeAlias

import pyarrow as pa
import xxhash

from sluice.errors import ReadError, StorageError
from sluice.operator import Instance
from sluice.operator.mapping import MapperChain
from sluice.run.engine import ROW, SINCE, STEP, Beat, Quarantine, rest
from sluice.sample import Item, Note, Sample

Given: TypeAlias = Mapping[Instance, Any]
"""What was measured of a sample, by measure: one value, or a list with one an item."""


class LastStep:
    """Maps the samples of a shard one by one, as the writer asks for them.

    An item's bytes are compared with the hash known from measuring before they are mapped. A sample that
    changed since, or whose mapper has trouble with it, gets a `read` note: the writer leaves it out and reports
    the reason.
    """

    def __init__(self, mappers: Sequence[Instance], given: Sequence[Instance] = ()) -> None:
        self._chain = MapperChain(mappers, given)
        self._scopes = {each.spec.scope for mapper in mappers for each in mapper.closure(given)}

    def __call__(
        self,
        samples: Iterable[Sample | None],
        beat: Beat,
        quarantined: Mapping[int, Quarantine],
        given: Iterable[Given],
    ) -> Iterator[Sample | None]:
        """The samples' new versions, in order; None stays None (a sample that is not there any more).

        A sample's row is its position; one that is `quarantined` is not mapped again. `given` says of each
        sample what was measured of it (see `given_values`).
        """
        for row, (sample, known) in enumerate(zip(samples, given, strict=False)):
            if sample is None:
                yield None
            elif row in quarantined:
                yield condemned(sample, quarantined[row])
            else:
                beat[ROW], beat[STEP], beat[SINCE] = row, 0, monotonic_ns()
                mapped = self._mapped(sample, known)
                rest(beat)
                yield mapped

    def _mapped(self, sample: Sample, known: Given) -> Sample:
        if any(note.kind == "read" for note in sample.notes):
            return sample
        try:
            verified = replace(sample, items=tuple(map(self._verified, sample.items)))
        except ReadError as error:
            return _failed(sample, error.reason, error.what)
        (mapped,) = self._chain([verified], {instance: [values] for instance, values in known.items()})
        new = mapped.notes[len(sample.notes) :]
        trouble = next((note for note in new if note.kind != "declined"), None)
        return mapped if trouble is None else _failed(sample, trouble.reason, trouble.detail)

    def _verified(self, item: Item) -> Item:
        """The item with its bytes in hand, known to be those that were measured."""
        media = item.media
        if media is None or item.modality not in self._scopes:
            return item
        try:
            data = media.read()
        except StorageError as error:
            raise ReadError("bytes not readable", str(error)) from error
        if item.hash is not None and xxhash.xxh3_128_hexdigest(data) != item.hash:
            raise ReadError("changed since it was measured", f"item {item.name!r}")
        return replace(item, media=replace(media, data=data))


def given_values(
    table: pa.Table, measured: Iterable[tuple[Sample, Sequence[int]]], measures: Sequence[Instance]
) -> Iterator[Given]:
    """What these measures made of each sample, from their columns, as a mapper of samples takes it.

    `measured` are the samples with the indices of items that are not written, whose values are left out.
    """
    for row, (sample, gone) in zip(table.to_pylist(), measured, strict=True):
        yield {measure: _entry(measure, row, sample, gone) for measure in measures}


def _entry(measure: Instance, row: Mapping[str, Any], sample: Sample, gone: Sequence[int]) -> Any:
    """One value, or a list with one an item: a tuple where the measure makes several columns, None for null."""
    parts = [row[output.name] for output in measure.outputs]
    modality = measure.modality
    if modality is None:
        return _value(parts)
    indices = [index for index, _ in sample.of(modality)]
    lists = [part if isinstance(part, list) else [part] * len(indices) for part in parts]
    values = [_value(list(each)) for each in zip(*lists, strict=True)]
    return [value for index, value in zip(indices, values, strict=True) if index not in gone]


def _value(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return None if all(part is None for part in parts) else tuple(parts)


def condemned(sample: Sample, why: Quarantine) -> Sample:
    """A sample that took its process down, for the writer to leave out."""
    return _failed(sample, f"{why.step}: {why.reason}", why.detail)


def _failed(sample: Sample, reason: str, detail: str) -> Sample:
    return replace(sample, notes=(Note("read", reason, detail), *sample.notes))
