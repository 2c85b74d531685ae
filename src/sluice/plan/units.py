"""Units: the deterministic slices of a source by which work is retried, committed and remembered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import xxhash

from sluice.readers import Reader, Slice


@dataclass(frozen=True, slots=True)
class Unit:
    """One slice of the source with its fingerprint.

    `key` addresses what is known of it: format, range, relative paths, sizes, and etag or modification time.
    `loose` leaves the modification time out: a unit that differs from a stored one only in that is the same if
    its content hashes say so.
    """

    index: int
    slice: Slice
    key: str
    loose: str
    max_rows: int | None = None
    """Only so many of its samples are read (`limit`)."""


def cut(
    reader: Reader, *, settings: dict[str, str] | None = None, limit: int | None = None
) -> Iterator[Unit]:
    """The units of a reader's source, in source order; those of the first `limit` samples where given.

    Where listing could not tell how many samples a shard has, those of the first shards are counted by reading.
    """
    left = limit
    for index, part in enumerate(reader.slices()):
        if left is not None and left <= 0:
            return
        yield unit_of(index, part, reader, settings or {}, left)
        if left is not None:
            left -= sum(1 for _ in islice(reader.read(part), left)) if part.samples is None else part.samples


def unit_of(
    index: int, part: Slice, reader: Reader, settings: dict[str, str], limit: int | None = None
) -> Unit:
    """The unit of one slice, or of its first `limit` samples where it has more."""
    max_rows = limit if limit is not None and (part.samples is None or part.samples > limit) else None
    head = [reader.format, reader.version, settings, part.start, part.stop, part.first_row, max_rows]
    loose = [*head, [(f.path, f.size) for f in part.files]]
    strict = [*head, [(f.path, f.size, f.etag or f.mtime_ns) for f in part.files]]
    loose_key, strict_key = _digest(loose), _digest(strict)
    return Unit(index, part, f"{loose_key[:16]}-{strict_key[:16]}", loose_key[:16], max_rows)


def _digest(parts: object) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(parts, sort_keys=True).encode("utf-8", "surrogateescape"))


def with_known_content(
    units: Iterable[Unit], known: Iterable[str], same: Callable[[Unit, str], bool]
) -> Iterator[Unit]:
    """Give units whose files were only touched the key under which their content is already known.

    `known` are the stored unit keys; `same(unit, key)` compares content hashes with those stored.
    """
    by_loose: dict[str, list[str]] = {}
    every = set(known)
    for key in sorted(every):
        by_loose.setdefault(key.partition("-")[0], []).append(key)
    for unit in units:
        candidates = [] if unit.key in every else by_loose.get(unit.loose, [])
        match = next((key for key in islice(candidates, 4) if same(unit, key)), None)
        yield unit if match is None else replace(unit, key=match)
