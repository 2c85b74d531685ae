"""Writes a pool in the format that a trainer reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from sluice.errors import TrialError
from sluice.run.convert import Feed
from sluice.sandbox.export.csv_videos import csv_videos
from sluice.sandbox.export.members import Members, members
from sluice.sandbox.pools import Pool
from sluice.sandbox.train.exported import NAME, Exported
from sluice.sandbox.train.protocol import DataFormat
from sluice.storage import Location
from sluice.writers import open_writer

SHARD_BYTES = 1_000_000_000
"""Bytes of a shard of tars or tables; WebDataset's own advice is 100 MB to 1 GB."""


def export(pool: Pool, folder: Path, format: DataFormat) -> Exported:
    """Write the pool's samples into a folder; a whole export of this very pool that lies there is left as it is.

    A sample that the pool names more than once is there as often. What cannot be read any more is counted by reason.
    `TrialError` where nothing is left to train on.
    """
    if (folder / NAME).exists():
        there = Exported.read(folder)
        if (there.pool, there.format) == (pool.digest, format):
            return there
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = replace(FORMATS[format](pool, folder), pool=pool.digest)
    if not made.samples:
        reasons = ", ".join(f"{count} {reason}" for reason, count in made.failed.items())
        raise TrialError(f"no data: none of the pool's samples can be written ({reasons})")
    made.write()
    return made


def _webdataset(pool: Pool, folder: Path) -> Exported:
    return _sharded(pool, folder, "webdataset", parquet=False)


def _parquet(pool: Pool, folder: Path) -> Exported:
    return _sharded(pool, folder, "parquet")


def _sharded(pool: Pool, folder: Path, format: DataFormat, **settings: object) -> Exported:
    """Shards of whole samples, a repeated one as often as it is in the pool."""
    found = members(pool)
    writer = open_writer(Location(folder), format, **settings)
    feed = Feed(found.again_and_again(), SHARD_BYTES, None)
    shards = 0
    while feed.more():
        result = writer.write_shard(shards, feed.shard(), None)
        found.failed.update(result.failed.values())
        shards += 1
    return _made(found, format, folder, folder, shards)


def _llava(pool: Pool, folder: Path) -> Exported:
    """One JSON array; a repeated sample is a repeated object, its pictures are there once."""
    found = members(pool)
    result = open_writer(Location(folder), "llava").write_shard(0, found.once(), None)
    for position, reason in result.failed.items():
        found.failed[reason] += int(found.times[position])
    file = folder / "00000.json"
    if found.times.max() > 1:
        objects = json.loads(file.read_bytes())
        written = [k for k in range(len(found.ids)) if k not in result.failed]
        times = found.times[written]
        passes = [
            o for n in range(times.max(initial=0)) for o, t in zip(objects, times, strict=True) if t > n
        ]
        Location(file).write(json.dumps(passes, ensure_ascii=False, indent=0).encode())
    return _made(found, "llava", folder, file, 1)


def _selection(pool: Pool, folder: Path) -> Exported:
    """The pool itself, for trainers that read the run."""
    pool.write(folder / "pool.parquet")
    if not len(pool):
        raise TrialError("empty pool: no samples to train on")
    return Exported(folder, "sluice", folder / "pool.parquet", folder, len(pool), {})


def _csv_videos(pool: Pool, folder: Path) -> Exported:
    found = members(pool)
    return _made(found, "csv-videos", folder, csv_videos(found, folder), 1)


FORMATS: Mapping[DataFormat, Callable[[Pool, Path], Exported]] = {
    "webdataset": _webdataset,
    "llava": _llava,
    "csv-videos": _csv_videos,
    "parquet": _parquet,
    "sluice": _selection,
}
"""How each format is written."""


def _made(found: Members, format: DataFormat, folder: Path, data: Path, shards: int) -> Exported:
    written = len(found) - found.failed.total()
    return Exported(folder, format, data, folder, written, dict(found.failed), shards)
