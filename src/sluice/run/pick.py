"""A seeded choice of a dataset's pictures, for previews."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import xxhash

from sluice.errors import StorageError, UsageError
from sluice.readers import open_reader
from sluice.sample import Sample
from sluice.store import RunDir

BROKEN = b""
"""Stands for a picture whose bytes could not be read: it shows as a cell with the reason."""


def picked_pictures(path: str, count: int, seed: int = 0) -> list[tuple[str, bytes]]:
    """The first picture of `count` samples at `path` (of a run: of its output) with their keys, in source order.

    Which ones depends on the samples' ids and `seed` alone. The source is read through once; bytes are in
    memory only of those picked. Raises UsageError where there is no picture.
    """
    reader = open_reader(_output_of(path))
    best: list[tuple[int, int, Sample, int]] = []
    for number, (sample, item) in enumerate(
        _pictured(s for part in reader.slices() for s in reader.read(part))
    ):
        luck = -xxhash.xxh3_64_intdigest(sample.id.encode(), seed=seed)
        if len(best) < count:
            heapq.heappush(best, (luck, -number, sample, item))
        elif (luck, -number) > best[0][:2]:
            heapq.heapreplace(best, (luck, -number, sample, item))
    if not best:
        raise UsageError(
            "there are no pictures here", where=path, fix="name a folder, shard or run with images"
        )
    chosen = sorted(best, key=lambda entry: -entry[1])
    return [(sample.key, _bytes(sample, item)) for _, _, sample, item in chosen]


def _output_of(path: str) -> str:
    """The output of a run (its folder is read as any other dataset), else the path itself."""
    try:
        return RunDir.find(path).output.url
    except UsageError:
        return path


def _pictured(samples: Iterator[Sample]) -> Iterator[tuple[Sample, int]]:
    for sample in samples:
        images = sample.of("image")
        if images:
            yield sample, images[0][0]


def _bytes(sample: Sample, item: int) -> bytes:
    media = sample.items[item].media
    try:
        return media.read() if media is not None else BROKEN
    except StorageError:
        return BROKEN
