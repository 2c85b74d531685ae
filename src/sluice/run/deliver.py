"""Delivery: survivors are packed, each shard is written by an independent task, finished ones are skipped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.errors import NotFoundError, RunError
from sluice.model.keeper import kept, served
from sluice.recipe.recipe import Write
from sluice.run.engine import Engine
from sluice.run.export import WriteJob, WriteReport, WriteTask, ledger_bytes
from sluice.run.finish import finish
from sluice.run.manifest import write_tasks
from sluice.run.pack import SAME_ID, Packing, pack, without_twins
from sluice.run.prepare import Prepared, writer_settings
from sluice.run.progress import Progress
from sluice.store import Fates, Table
from sluice.store.fates import DROPPED, DUPLICATE


@dataclass(frozen=True)
class Delivery:
    """What was written: shards, samples, bytes, and in which shard each sample of the table is (−1: none)."""

    shards: int
    samples: int
    size_bytes: int
    shard_of: NDArray[np.int32]
    peak_rss_mb: float = 0.0
    workers_died: bool = False
    frames_decoded: int = 0
    """Frames of videos that this run decoded to write."""
    dropped: Mapping[str, Any] | None = None
    """What was written of dropped samples, where they are wanted: samples, shards, bytes, failures by reason."""


@dataclass
class _Taken:
    """What writing took in this run: the workers' greatest memory, whether one of them died, frames decoded."""

    peak_rss_mb: float = 0.0
    workers_died: bool = False
    frames_decoded: int = 0


@dataclass(frozen=True)
class _Written:
    """One packing as it was written: reports and entries of the ledger by shard, and what it took."""

    packing: Packing
    reports: Mapping[int, WriteReport]
    entries: list[dict[str, Any]]
    taken: _Taken

    @property
    def samples(self) -> int:
        """Samples that were written."""
        return sum(report.samples for report in self.reports.values())

    @property
    def size_bytes(self) -> int:
        """Bytes of the shards' files."""
        return sum(report.size_bytes for report in self.reports.values())


def deliver(prepared: Prepared, engine: Engine, table: Table, fates: Fates, quiet: bool = False) -> Delivery:
    """Write the survivors; samples that can no longer be read become failures in `fates`."""
    shard_of = np.full(len(table), -1, np.int32)
    write = prepared.recipe.write
    if write is None:
        return Delivery(0, 0, 0, shard_of)
    kept = _written(prepared, engine, table, fates, fates.kept, write, quiet)
    packing = kept.packing
    shard_of[packing.ordinals] = packing.shard
    for report in kept.reports.values():
        _fail_lost(packing, report, fates, shard_of)
    dropped = _deliver_dropped(prepared, engine, table, fates, write, kept, quiet)
    told = finish(prepared.run, prepared.writer, kept.entries, dropped.entries if dropped else None)
    _describe_dataset(prepared, table, kept)
    both = [kept.taken, *([dropped.taken] if dropped else [])]
    return Delivery(
        packing.shards,
        kept.samples,
        kept.size_bytes + told,
        shard_of,
        max(taken.peak_rss_mb for taken in both),
        any(taken.workers_died for taken in both),
        sum(taken.frames_decoded for taken in both),
        _account(dropped, fates) if dropped else None,
    )


def _written(
    prepared: Prepared,
    engine: Engine,
    table: Table,
    fates: Fates,
    chosen: NDArray[np.bool_],
    write: Write,
    quiet: bool,
    spared: Container[str] = (),
) -> _Written:
    """Pack the chosen samples and have written what is not yet; files of earlier states go, but for those `spared`."""
    stems = [_stem(u.slice.files[0].path) for u in prepared.units]
    counted, gathers = (getattr(prepared.writer, name, None) for name in ("packs", "gathers"))
    packing = pack(table, chosen, write, stems, counted, gathers)
    packing.write(prepared.run.packing)
    finished: dict[int, WriteReport] = {}
    tasks = _unfinished(prepared, write_tasks(prepared, table, fates, packing), finished)
    taken = _write(prepared, engine, write, packing, tasks, finished, quiet)
    _remove_stale(prepared, packing.shards, spared)
    entries = [_entry(prepared, index) or {} for index in range(packing.shards)]
    return _Written(packing, finished, entries, taken)


def _deliver_dropped(
    prepared: Prepared,
    engine: Engine,
    table: Table,
    fates: Fates,
    write: Write,
    kept: _Written,
    quiet: bool,
) -> _Written | None:
    """Write what steps dropped into the same output, with a plan and a ledger of their own, where that is wanted.

    After what is kept: a clip that changed sides has files of one name on both, which are the kept one's.
    """
    apart = replace(prepared, run=prepared.run.dropped)
    spared = {file["path"] for entry in kept.entries for file in entry.get("files", ())}
    if write.keep_dropped:
        chosen = without_twins(table, _is_dropped(fates), fates.kept)
        unparted = write.model_copy(update={"partition_by": None})  # some have no value
        return _written(apart, engine, table, fates, chosen, unparted, quiet, spared)
    if apart.run.packing.exists():  # an earlier recipe wanted them
        _remove_stale(apart, 0, spared)
        apart.run.packing.delete()
    return None


def _is_dropped(fates: Fates) -> NDArray[np.bool_]:
    return np.isin(fates.fate, (DROPPED, DUPLICATE))


def _account(dropped: _Written, fates: Fates) -> dict[str, Any]:
    """What became of the dropped samples: written, or not, and why."""
    failures = Counter(why for report in dropped.reports.values() for why in report.failed.values())
    twins = int(np.count_nonzero(_is_dropped(fates))) - len(dropped.packing.ordinals)
    if twins:
        failures[SAME_ID] = twins
    return {
        "samples": dropped.samples,
        "shards": dropped.packing.shards,
        "size_bytes": dropped.size_bytes,
        "failures": dict(sorted(failures.items(), key=lambda each: (-each[1], each[0]))),
    }


def _write(
    prepared: Prepared,
    engine: Engine,
    write: Write,
    packing: Packing,
    tasks: Iterator[WriteTask],
    finished: dict[int, WriteReport],
    quiet: bool,
) -> _Taken:
    """Have the shards written, into `finished`."""
    taken = _Taken()
    written: set[int] = set()
    served_on = served(getattr(prepared.writer, "devices", ())) if engine.workers else None
    with kept(served_on) as keeper:
        job = WriteJob(
            prepared.source,
            prepared.run.output.url,
            prepared.run.shards.url,
            write.format,
            writer_settings(write),
            prepared.plan.mappers,
            keeper.serving if keeper else None,
        )
        with (
            Progress(len(packing.ordinals), label="write", quiet=quiet) as progress,
            closing(engine.run(job, tasks)) as results,
        ):
            for done in results:
                if done.result is None:
                    what = f"a shard could not be written: {done.error}"
                    raise RunError(what, fix="run the same command again")
                finished[done.result.index] = done.result
                written.add(done.result.index)
                taken.peak_rss_mb = max(taken.peak_rss_mb, done.peak_rss_mb)
                taken.workers_died |= done.attempts > 1
                taken.frames_decoded += done.result.frames_decoded
                progress.update(samples=done.result.samples, bytes=done.result.size_bytes)
            progress.update(samples=sum(r.samples for i, r in finished.items() if i not in written))
    return taken


def _stem(path: str) -> str:
    return PurePosixPath(path).name.partition(".")[0]


def _unfinished(
    prepared: Prepared, tasks: Iterator[WriteTask], finished: dict[int, WriteReport]
) -> Iterator[WriteTask]:
    """Leave out shards that an earlier run finished with the same content."""
    for task in tasks:
        entry = _entry(prepared, task.index)
        # What could not be read again may be there by now.
        again = entry is None or entry["digest"] != task.digest or entry["failed"]
        if entry is None or again or not _files_stand(prepared, entry):
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


def _remove_stale(prepared: Prepared, shards: int, spared: Container[str]) -> None:
    """Delete, by the ledger, files of an earlier state of this output that are not part of it any more."""
    entries = {int(e.path.partition(".")[0]): e.path for e in list(prepared.run.shards.list())}
    found = {index: _entry(prepared, index) or {} for index in sorted(entries)}
    gone = {index for index in found if index >= shards}
    stale = {path for entry in found.values() for path in entry.get("replaced", ())}
    stale |= {file["path"] for index in gone for file in found[index].get("files", ())}
    if not stale and not gone:
        return
    current = {f["path"] for index, e in found.items() if index not in gone for f in e.get("files", ())}
    for path in sorted(stale - current):
        if path not in spared:
            (prepared.run.output / path).delete()
    for index, entry in found.items():
        place = prepared.run.shards / entries[index]
        if index in gone:
            place.delete()
        elif entry.pop("replaced", None):
            place.write(ledger_bytes(entry))


def _partition(entry: dict[str, Any]) -> dict[str, Any]:
    return {"partition": entry["partition"]["value"]} if "partition" in entry else {}


def _describe_dataset(prepared: Prepared, table: Table, kept: _Written) -> None:
    """Write `dataset.json`: what the output is, for people and programs that find it."""
    columns = {n: asdict(c) for n, c in table.columns.items()}
    meaning = ("kind", "unit", "higher_is", "true_means", "modality")
    described = {n: {k: c[k] for k in meaning if c[k]} for n, c in columns.items()}
    document = {
        "format": prepared.recipe.write.format if prepared.recipe.write else None,
        "samples": kept.samples,
        "shards": [
            {"shard": i, "samples": report.samples, **_partition(kept.entries[i])}
            for i, report in sorted(kept.reports.items())
        ],
        "fields": described,
        "lock": prepared.lock.digest,
        "sluice": prepared.lock.sluice,
    }
    data = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode()
    (prepared.run.output / "dataset.json").write(data)
