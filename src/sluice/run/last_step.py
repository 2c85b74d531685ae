"""The mappers of what is written: survivors change on their way into a shard, once their bytes are verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from time import monotonic_ns

import xxhash

from sluice.errors import ReadError, StorageError
from sluice.operator import Instance
from sluice.operator.mapping import MapperChain
from sluice.run.engine import ROW, SINCE, STEP, Beat, Quarantine, rest
from sluice.sample import Item, Note, Sample


class LastStep:
    """Maps the samples of a shard one by one, as the writer asks for them.

    An item's bytes are compared with the hash known from measuring before they are mapped. A sample that
    changed since, or whose mapper has trouble with it, gets a `read` note: the writer leaves it out and reports
    the reason.
    """

    def __init__(self, mappers: Sequence[Instance]) -> None:
        self._chain = MapperChain(mappers)
        self._scopes = {mapper.spec.scope for mapper in mappers}

    def __call__(
        self, samples: Iterable[Sample | None], beat: Beat, quarantined: Mapping[int, Quarantine]
    ) -> Iterator[Sample | None]:
        """The samples' new versions, in order; None stays None (a sample that is not there any more).

        A sample's row is its position; one that is `quarantined` is not mapped again.
        """
        for row, sample in enumerate(samples):
            if sample is None:
                yield None
            elif row in quarantined:
                found = quarantined[row]
                yield _failed(sample, f"{found.step}: {found.reason}", found.detail)
            else:
                beat[ROW], beat[STEP], beat[SINCE] = row, 0, monotonic_ns()
                mapped = self._mapped(sample)
                rest(beat)
                yield mapped

    def _mapped(self, sample: Sample) -> Sample:
        if any(note.kind == "read" for note in sample.notes):
            return sample
        try:
            verified = replace(sample, items=tuple(map(self._verified, sample.items)))
        except ReadError as error:
            return _failed(sample, error.reason, error.what)
        (mapped,) = self._chain([verified])
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


def _failed(sample: Sample, reason: str, detail: str) -> Sample:
    return replace(sample, notes=(Note("read", reason, detail), *sample.notes))
