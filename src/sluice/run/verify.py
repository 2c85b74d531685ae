"""Checks that a finished run keeps its promises: every sample counted, every byte as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from sluice.errors import NotFoundError, StorageError, VerifyError
from sluice.recipe.lock import Lock
from sluice.run.progress import Progress
from sluice.run.shards import Shard, check_digest, check_shard
from sluice.storage import Location
from sluice.store import FATES, RunDir
from sluice.store.fates import PARENT_FATES
from sluice.writers import writer_class

_SHARD_FILE = re.compile(r"(metadata-)?\d{5,}\.(tar|parquet|jsonl)")
_AGAIN = "run the same command again: it writes what is missing"


def verify(place: RunDir, *, quiet: bool = False) -> dict[str, int]:
    """What was checked, as counts; `VerifyError` names the first violation.

    Conservation (the summary against the selection, parents against their children), the ledger against the
    packing plan, every output file's size and xxh3-128, keys in the plan's order, a tar against the table beside
    it, no key twice, no shard that the ledger does not know. Reads every output byte once; holds twelve bytes a
    kept sample.
    """
    summary, selected = _conservation(place)
    _levels(place, summary)
    done = {name: int(summary[name]) for name in ("read", *FATES)}
    write = Lock.read(place.lock).recipe.get("write")
    if write is None:
        return done | {"shards": 0, "files": 0, "size_bytes": 0}
    entries = _ledger(place)
    written = sum(entry["samples"] for entry in entries)
    if written != summary["kept"]:
        raise _violation(
            f"{summary['kept']:,} samples are kept, but {written:,} were written", place.shards, _AGAIN
        )
    _plan(place, entries, selected)
    _no_key_twice(place)
    _dataset(place, written)
    files, size = _files(place, entries, write, quiet)
    _no_strays(place, entries)
    told = [*_finished(place, write), *_dropped(place)]
    for file in told:
        check_digest(place.output / file["path"], int(file["size"]), str(file["hash"]))
    size += sum(int(file["size"]) for file in told)
    return done | {"shards": len(entries), "files": files + len(told), "size_bytes": size}


@dataclass(frozen=True)
class _Selected:
    """The kept samples, as the selection tells: their ordinals, ascending within each shard, and their shards."""

    ordinals: NDArray[np.int64]
    shards: NDArray[np.int64]


def _violation(what: str, where: Location, fix: str = "") -> VerifyError:
    return VerifyError(what, where=where.url, fix=fix)


def _read(place: Location) -> bytes:
    try:
        return place.read()
    except NotFoundError:
        raise _violation("is missing", place, _AGAIN) from None


def _document(place: Location) -> Any:
    try:
        return json.loads(_read(place))
    except ValueError as error:
        raise _violation(f"is damaged: {error}", place, "run the same command again") from None


def _batches(place: Location, columns: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        source: Any = place.path if place.is_local else pa.BufferReader(_read(place))
        yield from pq.ParquetFile(source).iter_batches(columns=columns)
    except FileNotFoundError:
        raise _violation("is missing", place, _AGAIN) from None
    except (pa.ArrowException, OSError) as error:
        raise _violation(f"cannot be read: {error}", place, "run the same command again") from None


def _conservation(place: RunDir) -> tuple[dict[str, Any], _Selected]:
    summary = _document(place.summary)
    if summary["read"] != sum(summary[fate] for fate in FATES):
        raise _violation("the counts do not add up to the samples read", place.summary)
    counts = dict.fromkeys(FATES, 0)
    ordinals, shards = [], []
    rows = 0
    for batch in _batches(place.selection, ["ordinal", "fate", "rule", "reason", "duplicate_of", "shard"]):
        _check_fates(batch, rows, int(summary["read"]), place.selection)
        rows += batch.num_rows
        fates = np.array(batch.column("fate").to_pylist(), dtype=object)
        for fate in FATES:
            counts[fate] += int((fates == fate).sum())
        kept = pa.array(fates == "kept")
        ordinals.append(batch.column("ordinal").filter(kept).to_numpy())
        shards.append(batch.column("shard").cast(pa.int64()).filter(kept).fill_null(-1).to_numpy())
    if rows != summary["read"]:
        raise _violation(f"lists {rows:,} samples, but {summary['read']:,} were read", place.selection)
    for fate in FATES:
        if counts[fate] != summary[fate]:
            what = f"{counts[fate]:,} samples are {fate}, but the summary says {summary[fate]:,}"
            raise _violation(what, place.selection)
    found, of_shards = _joined(ordinals), _joined(shards)
    order = np.lexsort((found, of_shards))  # as the plan has them: of partitions one after the other
    return summary, _Selected(found[order], of_shards[order])


def _levels(place: RunDir, summary: dict[str, Any]) -> None:
    """Each level's own equation; of a splitter's, every parent has one fate and every sample one parent."""
    for level in summary.get("levels", ()):
        fates = PARENT_FATES if level["name"] == "parents" else FATES
        if level["read"] != sum(level[fate] for fate in fates):
            raise _violation(f"the counts of {level['name']} do not add up to those read", place.summary)
        if fates is PARENT_FATES:
            _parents(place, summary, level)


def _parents(place: RunDir, summary: dict[str, Any], level: dict[str, Any]) -> None:
    counts = dict.fromkeys(PARENT_FATES, 0)
    number = made = 0
    for batch in _batches(place.parents, ["ordinal", "fate", "reason", "children", "first_child"]):
        for ordinal, fate, reason, children, first in zip(
            *(column.to_pylist() for column in batch.columns), strict=True
        ):
            wrong = ""
            if ordinal != number or fate not in counts:
                wrong = "stands out of order, or has an unknown fate"
            elif (fate == "split") != bool(children) or (fate == "split") != (first is not None):
                wrong = f"is {fate}, but has {children} children"
            elif first is not None and first != made:
                wrong = "has children that are another's"
            elif fate != "split" and reason is None:
                wrong = f"is {fate} without a reason"
            if wrong:
                raise _violation(f"parent {number} {wrong}", place.parents)
            counts[fate] += 1
            number, made = number + 1, made + children
    if counts != {fate: level[fate] for fate in PARENT_FATES}:
        raise _violation("the parents disagree with the summary", place.parents)
    if made != summary["read"]:
        what = f"parents have {made:,} children, but {summary['read']:,} samples were read"
        raise _violation(what, place.parents)


def _joined(pieces: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(pieces) if pieces else np.empty(0, np.int64)


def _check_fates(batch: pa.RecordBatch, start: int, total: int, where: Location) -> None:
    """Each row is the next sample, has one known fate, and says what brought it about."""
    if batch.column("ordinal").to_pylist() != list(range(start, start + batch.num_rows)):
        raise _violation("a sample is missing from the selection, or stands in it twice", where)
    rows = zip(
        batch.column("fate").to_pylist(),
        batch.column("rule").to_pylist(),
        batch.column("reason").to_pylist(),
        batch.column("duplicate_of").to_pylist(),
        strict=True,
    )
    for ordinal, (fate, rule, reason, twin) in enumerate(rows, start):
        wrong = ""
        if fate not in FATES:
            wrong = f"has the unknown fate {fate!r}"
        elif fate in ("dropped", "duplicate") and rule is None:
            wrong = f"is {fate}, but no rule is named"
        elif fate == "failed" and reason is None:
            wrong = "failed without a reason"
        elif fate == "duplicate" and (twin is None or twin == ordinal or not 0 <= twin < total):
            wrong = "is a duplicate of no sample"
        if wrong:
            raise _violation(f"sample {ordinal} {wrong}", where)


def _ledger(place: RunDir) -> list[dict[str, Any]]:
    """The entries of all shards, by number."""
    names = [entry.path for entry in place.shards.list()] if place.shards.exists() else []
    expected = [f"{index:05d}.json" for index in range(len(names))]
    if sorted(names) != expected:
        missing = next(iter(sorted(set(expected) - set(names))), "")
        raise _violation(f"the ledger of shards has no {missing}", place.shards, _AGAIN)
    return [_document(place.shards / name) for name in expected]


def _planned(place: RunDir) -> Iterator[tuple[int, int, str]]:
    """Shard, ordinal and key of every sample in the packing plan."""
    for batch in _batches(place.packing, ["shard", "ordinal", "key"]):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _by_shard(place: RunDir) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    for shard, rows in groupby(_planned(place), key=lambda row: row[0]):
        yield shard, [(ordinal, key) for _, ordinal, key in rows]


def _plan(place: RunDir, entries: list[dict[str, Any]], selected: _Selected) -> None:
    """Ledger, plan and selection agree on which sample is where."""
    at = seen = 0
    for shard, rows in _by_shard(place):
        if shard != seen or shard >= len(entries):
            raise _violation(f"shard {shard} of the plan was not written", place.shards, _AGAIN)
        seen += 1
        ordinals = [o for k, (o, _) in enumerate(rows) if str(k) not in entries[shard]["failed"]]
        if len(ordinals) != entries[shard]["samples"]:
            what = f"shard {shard} should hold {len(ordinals):,} samples, not {entries[shard]['samples']:,}"
            raise _violation(what, place.shards)
        here = slice(at, at + len(ordinals))
        at += len(ordinals)
        same = selected.ordinals[here].tolist() == ordinals
        if not same or (selected.shards[here] != shard).any():
            raise _violation(f"the selection disagrees with the plan of shard {shard}", place.selection)
    if seen != len(entries) or at != len(selected.ordinals):
        raise _violation("the ledger has shards that the plan does not know", place.shards)


def _no_key_twice(place: RunDir) -> None:
    """No two samples of the output share a key; equal hashes are looked at again, so that none is accused wrongly."""
    hashes = np.fromiter((_hash(key) for _, _, key in _planned(place)), np.uint64)
    values, counts = np.unique(hashes, return_counts=True)
    suspects = set(values[counts > 1].tolist())
    if not suspects:
        return
    seen: set[str] = set()
    for shard, _, key in _planned(place):
        if _hash(key) in suspects:
            if key in seen:
                raise _violation(
                    f"the key {key!r} stands twice in the output (again in shard {shard})", place.output
                )
            seen.add(key)


def _hash(key: str) -> int:
    return xxhash.xxh3_64_intdigest(key.encode("utf-8", "surrogatepass"))


def _dataset(place: RunDir, written: int) -> None:
    where = place.output / "dataset.json"
    described = _document(where)
    if described["samples"] != written:
        raise _violation(f"says {described['samples']:,} samples, but {written:,} were written", where)
    if described["lock"] != Lock.read(place.lock).digest:
        raise _violation("was written by another recipe than the lock's", where, "run the recipe again")


def _files(
    place: RunDir, entries: list[dict[str, Any]], write: dict[str, Any], quiet: bool
) -> tuple[int, int]:
    """Every file of every shard against its ledger entry, its plan, and the table beside it."""
    files = size = 0
    with Progress(len(entries), "shards", label="verify", quiet=quiet) as progress:
        for index, rows in _by_shard(place):
            entry = entries[index]
            keys = [key for k, (_, key) in enumerate(rows) if str(k) not in entry["failed"]]
            shard = Shard(index, place.output, str(write["format"]), tuple(entry["files"]), keys)
            try:
                here = check_shard(shard)
            except StorageError as error:
                raise VerifyError(error.what, where=error.where, fix=_AGAIN) from error
            files, size = files + len(entry["files"]), size + here
            progress.update(samples=1, bytes=here)
    return files, size


def _finished(place: RunDir, write: dict[str, Any]) -> list[dict[str, Any]]:
    """The files that tell of all shards together, as they were noted."""
    if not hasattr(writer_class(str(write["format"])), "finish"):
        return []
    found: list[dict[str, Any]] = _document(place.finished)["files"]
    return found


def _dropped(place: RunDir) -> list[dict[str, Any]]:
    """The files of dropped samples, as their ledger has them; none where they are not written."""
    return [file for entry in _ledger(place.dropped) for file in entry["files"]]


def _no_strays(place: RunDir, entries: list[dict[str, Any]]) -> None:
    """A shard that the ledger does not know would be trained on by whoever reads `*.tar`."""
    known = {file["path"] for entry in entries for file in entry["files"]}
    for found in place.output.list(recursive=False):
        if _SHARD_FILE.fullmatch(found.path) and found.path not in known:
            what = "is no part of this run, but looks like one of its shards"
            raise _violation(what, place.output / found.path, "move it elsewhere")
