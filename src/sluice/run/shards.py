"""One written shard against what it should be: digests, keys in their order, a tar against its table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from sluice.errors import VerifyError
from sluice.readers.blocks import FileBlocks
from sluice.readers.groups import Group, groups
from sluice.readers.tar import tar_members
from sluice.sample.members import join_member, safe_member, split_member
from sluice.storage import Location
from sluice.storage.scratch import scratch


@dataclass(frozen=True)
class Shard:
    """A shard as it should be: its files with size and xxh3-128, and the keys of its samples in order."""

    index: int
    output: Location
    format: str
    files: Sequence[Mapping[str, Any]]
    keys: list[str]

    def named(self, pattern: str) -> Location | None:
        """The shard's file of this name, `{}` standing for its number; None where it has none."""
        name = pattern.format(f"{self.index:05d}")
        return self.output / name if any(f["path"] == name for f in self.files) else None


def check_shard(shard: Shard) -> int:
    """Check one shard; the bytes of its files. `VerifyError` names the file and what is wrong with it."""
    for file in shard.files:
        check_digest(shard.output / file["path"], int(file["size"]), str(file["hash"]))
    if shard.format == "webdataset":
        _check_tar(shard)
    elif shard.format == "video-shards":
        _check_trees(shard)
    elif shard.format in _KEYS_OF:
        name, keys_of = _KEYS_OF[shard.format]
        _check_keys(shard, shard.named(name), keys_of)
    return sum(int(f["size"]) for f in shard.files)


def check_digest(place: Location, size: int, digest: str) -> None:
    """Check that a file has these bytes; `VerifyError` says how it differs."""
    stat = place.stat()
    again = "run the same command again: it writes this shard anew"
    if stat is None:
        raise VerifyError("is missing", where=place.url, fix=again)
    if stat.size != size:
        what = f"has {stat.size:,} bytes, but {size:,} were written"
        raise VerifyError(what, where=place.url, fix=again)
    hasher = xxhash.xxh3_128()
    for chunk in place.stream():
        hasher.update(chunk)
    if hasher.hexdigest() != digest:
        fix = "delete it and run the same command again"
        raise VerifyError("was changed since it was written: another xxh3-128", where=place.url, fix=fix)


def _check_keys(shard: Shard, place: Location | None, keys_of: Callable[[Path], Iterator[str]]) -> None:
    if place is None:
        return
    with _local(place) as path:
        for number, (found, wanted) in enumerate(zip_longest(keys_of(path), shard.keys)):
            if found != wanted:
                what = f"row {number} has the key {found!r}, but the plan says {wanted!r}"
                raise VerifyError(what, where=place.url)


def _parquet_keys(path: Path) -> Iterator[str]:
    for batch in pq.ParquetFile(path).iter_batches(columns=["key"]):
        yield from batch.column("key").to_pylist()


def _jsonl_keys(path: Path) -> Iterator[str]:
    with path.open("rb") as lines:
        for line in lines:
            yield json.loads(line)["key"]


_KEYS_OF: dict[str, tuple[str, Callable[[Path], Iterator[str]]]] = {
    "parquet": ("{}.parquet", _parquet_keys),
    "folder": ("metadata-{}.parquet", _parquet_keys),
    "jsonl": ("{}.jsonl", _jsonl_keys),
}
"""The file of a shard that lists its keys, by format; of formats from elsewhere only digests are checked."""


def _check_tar(shard: Shard) -> None:
    """The tar's members, group by group, against the plan and, where there is one, the table beside it."""
    place = shard.named("{}.tar")
    if place is None:
        raise VerifyError(f"the ledger names no tar for shard {shard.index}", where=shard.output.url)
    table = shard.named("{}.parquet")
    with _local(place) as path, path.open("rb") as opened:
        found = groups(tar_members(FileBlocks(opened.fileno(), place.url)))
        rows: Iterator[Mapping[str, Any] | None] = _rows(table) if table is not None else iter(())
        for number, (group, key) in enumerate(zip_longest(found, shard.keys)):
            _check_group(place, number, group, key)
            if table is not None:
                _check_row(table, number, group, key, next(rows, None))
        if next(rows, None) is not None:
            raise VerifyError("has more rows than its tar has samples", where=str(table))


def _check_trees(shard: Shard) -> None:
    """Tars of clips, metadata and embeddings: each with the samples of the plan, in its order."""
    for file in shard.files:
        place = shard.output / file["path"]
        with _local(place) as path, path.open("rb") as opened:
            found = groups(tar_members(FileBlocks(opened.fileno(), place.url)))
            for number, (group, key) in enumerate(zip_longest(found, shard.keys)):
                _check_group(place, number, group, key)


def _check_group(place: Location, number: int, group: Group | None, key: str | None) -> None:
    if group is not None and group.trouble:
        raise VerifyError(f"sample {number}: {group.trouble} ({group.detail})", where=place.url)
    # What cannot stand in a tar as it is (control characters, …) is escaped there.
    wanted = None if key is None else split_member(safe_member(join_member(key, "x")))[0]
    found = None if group is None else group.key
    if found != wanted:
        what = f"sample {number} has the key {found!r}, but the plan says {wanted!r}"
        raise VerifyError(what, where=place.url)


def _rows(table: Location) -> Iterator[Mapping[str, Any]]:
    with _local(table) as path:
        columns = ["key", "members", "offsets", "sizes"]
        for batch in pq.ParquetFile(path).iter_batches(columns=columns):
            yield from pa.Table.from_batches([batch]).to_pylist()


def _check_row(
    table: Location, number: int, group: Group | None, key: str | None, row: Mapping[str, Any] | None
) -> None:
    if row is None or row["key"] != key or group is None:
        found = None if row is None else row["key"]
        what = f"row {number} has the key {found!r}, but the tar's sample is {key!r}"
        raise VerifyError(what, where=table.url)
    for name, of_tar in (
        ("offsets", [m.offset for _, m in group.members]),
        ("sizes", [m.size for _, m in group.members]),
        ("members", [m.name for _, m in group.members]),
    ):
        if row[name] != of_tar:
            what = f"row {number} ({key!r}) has the {name} {row[name]}, but its tar has {of_tar}"
            raise VerifyError(what, where=table.url)


@contextmanager
def _local(place: Location) -> Iterator[Path]:
    """The file on this machine: itself, or a copy for as long as it is looked at."""
    if place.is_local:
        yield place.path
        return
    with scratch("sluice-verify") as folder:
        path = folder / place.name
        place.download(path)
        yield path
