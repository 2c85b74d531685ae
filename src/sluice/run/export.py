"""The writing job: each shard an independent task that reads its members again and verifies them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from typing import Any

import pyarrow as pa
import xxhash

from sluice.codec.video.tally import frames_decoded
from sluice.errors import NotFoundError
from sluice.model.client import Serving, serve
from sluice.operator import alive
from sluice.plan import Mappers
from sluice.readers import Slice
from sluice.readers.again import read_again
from sluice.run.engine import Beat, Quarantine, rest
from sluice.run.last_step import Given, LastStep, condemned, given_values
from sluice.run.source import SourceRef
from sluice.sample import Batch, Sample
from sluice.sample.fields import Fields, types_of
from sluice.storage import Location
from sluice.store.fragments import HASHES
from sluice.writers import Dropped, Partition, ShardResult, Writer, open_writer

GONE = "items_gone"
"""Column of a task's samples: indices of the items that are not written."""

VIEWS = ("id", "key", "parent", "items")
"""Columns of a task's samples that are no fields of theirs."""


@dataclass(frozen=True)
class WriteTask:
    """One shard: its samples (views, on Arrow), their fields, and where to read again what has no address.

    `samples` also carries, as columns, the items' content hashes and the indices of items that are left out.
    `slices` lists, in order, a slice of the source and the rows to take from it; empty where every member
    can be fetched by its view. `digest` is that of all this and the writer's settings: a shard whose ledger
    has the same digest is done. `measured` holds the columns that mappers take, `partition` what all samples share,
    `dropped` why each is not kept, where it is a shard of those.
    """

    index: int
    samples: bytes
    fields: bytes | None
    slices: tuple[tuple[Slice, tuple[int, ...]], ...]
    digest: str
    measured: bytes | None = None
    partition: Partition | None = None
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True)
class WriteReport:
    """What one shard came to: samples and bytes written, and positions that failed with their reason."""

    index: int
    samples: int
    size_bytes: int
    failed: dict[int, str]
    frames_decoded: int = 0
    """Frames of videos that were decoded for it."""


class WriteJob:
    """Writes shards. The same object serves every worker."""

    def __init__(
        self,
        source: SourceRef,
        output: str,
        ledger: str,
        format: str,
        settings: Mapping[str, Any],
        mappers: Mappers | None = None,
        serving: Serving | None = None,
    ) -> None:
        self.source, self.output, self.ledger, self.serving = source, output, ledger, serving
        self.format, self.settings = format, dict(settings)
        found = mappers or Mappers()
        self.mappers, self.measures = tuple(found.trailing.values()), tuple(found.given)

    def open(self) -> None:
        """Open this worker's reader and writer, and the mappers of what is written."""
        serve(self.serving)
        self._reader = self.source.open()
        self._last_step = LastStep(self.mappers, self.measures) if self.mappers else None
        self._writer: Writer = open_writer(Location(self.output), self.format, **self.settings)

    def step_name(self, step: int) -> str:
        """What the worker was doing, for messages."""
        mapping = " and ".join(mapper.spec.name for mapper in self.mappers)
        return mapping if step == 0 and mapping else f"writing {self.format}"

    def __call__(self, task: WriteTask, beat: Beat, quarantined: Mapping[int, Quarantine]) -> WriteReport:
        """Write one shard, whole or not at all, then note it in the ledger."""
        rest(beat)
        alive.follow(beat)
        decoded_before = frames_decoded()
        fields = from_ipc(task.fields) if task.fields is not None else None
        samples = self._with_bytes(task)
        if self._last_step is not None:
            samples = self._last_step(samples, beat, quarantined, self._given(task))
        elif quarantined:
            samples = (
                condemned(s, quarantined[row]) if s is not None and row in quarantined else s
                for row, s in enumerate(samples)
            )
        place = Location(self.ledger) / f"{task.index:05d}.json"
        before = _known_files(place)
        self._note_begun(task, place, before)
        entry: dict[str, Any] = {"digest": task.digest}
        if task.partition is not None:
            entry["partition"] = asdict(task.partition)
        result = self._written(task, samples, fields)
        rest(beat)
        entry |= ledger_entry(result)
        # Files of this shard's earlier state that it has no more: to be deleted once all shards are written.
        replaced = sorted(before - {f.path for f in result.files})
        place.write(ledger_bytes(entry | ({"replaced": replaced} if replaced else {})))
        size = sum(f.size for f in result.files)
        decoded = frames_decoded() - decoded_before
        return WriteReport(task.index, result.samples, size, result.failed, decoded)

    def _note_begun(self, task: WriteTask, place: Location, before: set[str]) -> None:
        """Note which files there will be, where they are the samples' own, beside those of an earlier state.

        Without a digest: whoever goes on after this was killed writes the shard again, or what is kept instead, and
        knows what to delete.
        """
        if not hasattr(self._writer, "names_of"):
            return
        samples = (sample for sample, _ in known_samples(from_ipc(task.samples)))
        names = {name for sample in samples for name in self._writer.names_of(sample, bool(task.dropped))}
        files = [{"path": path} for path in sorted(before | names)]
        place.write(ledger_bytes({"digest": "", "files": files, "samples": 0, "failed": {}}))

    def _written(
        self, task: WriteTask, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        writer: Any = self._writer
        if task.dropped:
            found: ShardResult = writer.write_dropped(task.index, samples, fields, task.dropped)
        elif task.partition is not None and hasattr(writer, "write_partitioned"):
            found = writer.write_partitioned(task.partition, samples, fields)
        else:
            found = writer.write_shard(task.index, samples, fields)
        return found

    def _with_bytes(self, task: WriteTask) -> Iterator[Sample | None]:
        """The shard's samples in order with their bytes readable; None for one that is not there any more."""
        again = self._read_again(task.slices) if task.slices else None
        for sample, gone in known_samples(from_ipc(task.samples)):
            if again is None:
                yield _without(sample.rooted(self.source.root), gone)
                continue
            found = next(again, None)
            if found is None or found.id != sample.id:
                yield None
            else:
                yield _without(_merged(sample, found), gone)

    def _given(self, task: WriteTask) -> Iterable[Given]:
        if task.measured is None:
            return repeat({})
        return given_values(from_ipc(task.measured), known_samples(from_ipc(task.samples)), self.measures)

    def _read_again(self, slices: Sequence[tuple[Slice, tuple[int, ...]]]) -> Iterator[Sample | None]:
        for part, rows in slices:
            yield from read_again(self._reader, part, rows)


def known_samples(table: pa.Table) -> Iterator[tuple[Sample, Sequence[int]]]:
    """The samples of a task as they were measured, a few at a time, with the indices of items to leave out.

    Their fields know the types that the whole source has for them.
    """
    types = {f.name: f.type for f in table.schema if f.name not in (*VIEWS, HASHES, GONE)}
    for batch in table.to_batches(max_chunksize=256):
        hashes, gone = (batch.column(name).to_pylist() for name in (HASHES, GONE))
        plain = batch.select([n for n in batch.schema.names if n not in (HASHES, GONE)])
        for sample, of_items, left_out in zip(Batch(plain).samples(), hashes, gone, strict=True):
            yield _with_hashes(_typed(sample, types), of_items), left_out or ()


def _typed(sample: Sample, types: Mapping[str, pa.DataType]) -> Sample:
    return replace(sample, fields=Fields(sample.fields, types)) if types else sample


def _with_hashes(sample: Sample, hashes: Sequence[str | None] | None) -> Sample:
    if not hashes:
        return sample
    items = (replace(item, hash=h) for item, h in zip(sample.items, hashes, strict=True))
    return replace(sample, items=tuple(items))


def _without(sample: Sample, gone: Sequence[int]) -> Sample:
    if not gone:
        return sample
    return replace(sample, items=tuple(item for i, item in enumerate(sample.items) if i not in gone))


def _merged(known: Sample, found: Sample) -> Sample:
    """The sample as read again, under its output key, with the hashes and types known from measuring."""
    items = []
    for i, item in enumerate(found.items):
        hash_known = known.items[i].hash if i < len(known.items) else None
        items.append(replace(item, hash=hash_known))
    types = {**types_of(known.fields), **types_of(found.fields)}
    return replace(found, key=known.key, items=tuple(items), fields=Fields(found.fields, types))


def ledger_entry(result: ShardResult) -> dict[str, Any]:
    """What the ledger says of a shard that was written."""
    return {
        "files": [asdict(f) for f in result.files],
        "samples": result.samples,
        "failed": {str(k): v for k, v in result.failed.items()},
        **({"frames_decoded": result.frames_decoded} if result.frames_decoded else {}),
    }


def ledger_bytes(entry: Mapping[str, Any]) -> bytes:
    """An entry of the ledger as it is stored."""
    return json.dumps(entry, indent=1, sort_keys=True).encode()


def _known_files(place: Location) -> set[str]:
    """All files that a shard's entry in the ledger knows of, of earlier states too; none where it has no entry."""
    try:
        before = json.loads(place.read())
    except NotFoundError:
        return set()
    return {f["path"] for f in before["files"]} | set(before.get("replaced", ()))


def to_ipc(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def from_ipc(data: bytes) -> pa.Table:
    """The table in an Arrow IPC stream."""
    return pa.ipc.open_stream(pa.BufferReader(data)).read_all()


def task_digest(parts: Sequence[bytes | None], settings: object) -> str:
    """The digest by which a shard is known: its members, their fields and the writer's settings."""
    hasher = xxhash.xxh3_128(json.dumps(settings, sort_keys=True, default=str).encode())
    for part in parts:
        hasher.update(b"\0" if part is None else part)
    return hasher.hexdigest()
