"""Delivery: survivors are packed, each shard is written by an independent task, finished ones are skipped."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sluice.errors import NotFoundError, RunError
from sluice.read import Slice
from sluice.recipe.recipe import Write
from sluice.run.engine import Engine
from sluice.run.export import WriteJob, WriteReport, WriteTask, task_digest, to_ipc
from sluice.run.pack import Packing, pack
from sluice.run.prepare import Prepared, writer_settings
from sluice.run.progress import Progress
from sluice.sample import Batch, Sample
from sluice.store import Fates, Table
from sluice.store.fragments import HASHES

_INTERNAL = ("unit", "row", "parent", "items", "size_bytes", HASHES, "failure", "item_errors", "notes")


@dataclass(frozen=True)
class Delivery:
    """What was written: shards, samples, bytes, and in which shard each sample of the table is (−1: none)."""

    shards: int
    samples: int
    size_bytes: int
    shard_of: NDArray[np.int32]
    peak_rss_mb: float = 0.0


def deliver(prepared: Prepared, engine: Engine, table: Table, fates: Fates, quiet: bool = False) -> Delivery:
    """Write the survivors; samples that can no longer be read become failures in `fates`."""
    shard_of = np.full(len(table), -1, np.int32)
    write = prepared.recipe.write
    if write is None:
        return Delivery(0, 0, 0, shard_of)
    stems = [_stem(u.slice.files[0].path) for u in prepared.units]
    packing = pack(table, fates.kept, write, stems)
    packing.write(prepared.run.packing)
    shard_of[packing.ordinals] = packing.shard
    settings = writer_settings(write)
    job = WriteJob(prepared.source, prepared.run.output.url, prepared.run.shards.url, write.format, settings)
    finished: dict[int, WriteReport] = {}
    tasks = _unfinished(prepared, _tasks(prepared, table, fates, packing, write, settings), finished)
    peak = 0.0
    with (
        Progress(len(packing.ordinals), unit="samples", quiet=quiet) as progress,
        closing(engine.run(job, tasks)) as results,
    ):
        for done in results:
            if done.result is None:
                raise RunError(
                    f"a shard could not be written: {done.error}", fix="run the same command again"
                )
            finished[done.result.index] = done.result
            peak = max(peak, done.peak_rss_mb)
            progress.update(samples=done.result.samples, bytes=done.result.size_bytes)
    for report in finished.values():
        _fail_lost(packing, report, fates, shard_of)
    _remove_stale(prepared, packing.shards)
    _describe_dataset(prepared, table, finished)
    samples = sum(r.samples for r in finished.values())
    size = sum(r.size_bytes for r in finished.values())
    return Delivery(packing.shards, samples, size, shard_of, peak)


def _stem(path: str) -> str:
    return PurePosixPath(path).name.partition(".")[0]


def _tasks(
    prepared: Prepared,
    table: Table,
    fates: Fates,
    packing: Packing,
    write: Write,
    settings: dict[str, Any],
) -> Iterator[WriteTask]:
    """The shards of a packing, one after another: a shard's views and fields are in memory only meanwhile."""
    for index in range(packing.shards):
        part = packing.of(index)
        ordinals, keys = packing.ordinals[part], packing.keys[part]
        known = table.take(ordinals, ["unit", "row", "notes", HASHES])
        samples = [
            _with_hashes(replace(s, key=key), hashes)
            for s, key, hashes in zip(
                table.batch(ordinals.tolist()), keys, known.column(HASHES).to_pylist(), strict=True
            )
        ]
        slices: tuple[tuple[Slice, tuple[int, ...]], ...] = ()
        if not prepared.reader.addressable:
            slices = tuple(_slices(prepared, known))
        drop_errors = prepared.recipe.item_errors == "drop_item"
        gone = tuple(
            tuple(sorted(_gone(s, notes if drop_errors else None, fates.dropped_items.get(int(o), set()))))
            for s, notes, o in zip(samples, known.column("notes").to_pylist(), ordinals, strict=True)
        )
        fields = _fields(table, ordinals, keys, write)
        views = to_ipc(pa.Table.from_batches([Batch.from_samples(samples).data]))
        data = to_ipc(fields) if fields is not None else None
        digest = task_digest([views, data], [write.format, settings, gone if any(gone) else None])
        yield WriteTask(index, views, data, slices, gone, digest)


def _with_hashes(sample: Sample, hashes: Sequence[str | None] | None) -> Sample:
    if not hashes:
        return sample
    items = (replace(item, hash=h) for item, h in zip(sample.items, hashes, strict=True))
    return replace(sample, items=tuple(items))


def _gone(
    sample: Sample, notes: Sequence[Mapping[str, Any]] | None, dropped: Collection[tuple[str, int]]
) -> set[int]:
    """Indices of the sample's items that are not written: unreadable ones and those that rules dropped."""
    unreadable = {n["item"] for n in notes or () if n["kind"] == "unreadable"}
    return unreadable | {sample.of(modality)[k][0] for modality, k in dropped}


def _slices(prepared: Prepared, known: pa.Table) -> Iterator[tuple[Slice, tuple[int, ...]]]:
    units, rows = known.column("unit").to_numpy(), known.column("row").to_numpy()
    for unit in np.unique(units):
        yield prepared.units[unit].slice, tuple(int(r) for r in rows[units == unit])


def _fields(table: Table, ordinals: NDArray[np.int64], keys: list[str], write: Write) -> pa.Table | None:
    """The columns of the Parquet file beside a shard: id, key, measures, and embeddings where asked."""
    if not write.parquet and not write.fields_in_json:
        return None
    names = ["id", "key", *table.passthrough, *(n for n, c in table.columns.items() if c.kind != "vector")]
    found = table.take(ordinals, [n for n in names if n not in _INTERNAL])
    if found.column("key").to_pylist() != keys:
        found = found.append_column("key_original", found.column("key"))
        found = found.set_column(found.column_names.index("key"), "key", pa.array(keys, pa.string()))
    if write.embeddings != "none":
        for name, column in table.columns.items():
            if column.kind == "vector" and table.max_items.get(column.modality or "", 1) <= 1:
                found = found.append_column(name, table.vectors_of(name, ordinals, write.embeddings))
    return found


def _unfinished(
    prepared: Prepared, tasks: Iterator[WriteTask], finished: dict[int, WriteReport]
) -> Iterator[WriteTask]:
    """Leave out shards that an earlier run finished with the same content."""
    for task in tasks:
        entry = _entry(prepared, task.index)
        if entry is None or entry["digest"] != task.digest or not _files_stand(prepared, entry):
            yield task
            continue
        size = sum(f["size"] for f in entry["files"])
        failed = {int(k): v for k, v in entry["failed"].items()}
        finished[task.index] = WriteReport(task.index, entry["samples"], size, failed)


def _entry(prepared: Prepared, index: int) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((prepared.run.shards / f"{index:05d}.json").read())
    except NotFoundError:
        return None
    return found


def _files_stand(prepared: Prepared, entry: dict[str, Any]) -> bool:
    stats = [(f, (prepared.run.output / f["path"]).stat()) for f in entry["files"]]
    return all(stat is not None and stat.size == f["size"] for f, stat in stats)


def _fail_lost(packing: Packing, report: WriteReport, fates: Fates, shard_of: NDArray[np.int32]) -> None:
    """Samples that could not be read again unchanged: they count as failed, with that reason."""
    start = packing.of(report.index).start
    for position, reason in report.failed.items():
        ordinal = packing.ordinals[start + position]
        fates.fail(int(ordinal), reason)
        shard_of[ordinal] = -1


def _remove_stale(prepared: Prepared, shards: int) -> None:
    """Delete shards that an earlier state of this output had beyond those of now, by its ledger."""
    if not prepared.run.shards.exists():
        return
    for entry in list(prepared.run.shards.list()):
        index = int(entry.path.partition(".")[0])
        stale = _entry(prepared, index) if index >= shards else None
        if stale is not None:
            for file in stale["files"]:
                (prepared.run.output / file["path"]).delete()
            (prepared.run.shards / entry.path).delete()


def _describe_dataset(prepared: Prepared, table: Table, finished: dict[int, WriteReport]) -> None:
    """Write `dataset.json`: what the output is, for people and programs that find it."""
    columns = {n: asdict(c) for n, c in table.columns.items()}
    meaning = ("kind", "unit", "higher_is", "true_means", "modality")
    described = {n: {k: c[k] for k in meaning if c[k]} for n, c in columns.items()}
    document = {
        "format": prepared.recipe.write.format if prepared.recipe.write else None,
        "samples": sum(r.samples for r in finished.values()),
        "shards": [{"shard": i, "samples": finished[i].samples} for i in sorted(finished)],
        "fields": described,
        "lock": prepared.lock.digest,
        "sluice": prepared.lock.sluice,
    }
    data = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode()
    (prepared.run.output / "dataset.json").write(data)
