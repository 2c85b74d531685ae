"""The narrow contract between a location and what holds its bytes: a new kind of place is one file."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from sluice.errors import StorageError

TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.tmp", re.DOTALL)
"""Names of the files that we write beside their target until they are whole."""

_LONGEST_NAME_BYTES = 200  # of the 255 that Linux file systems allow; leaves room for what we add


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a listing.

    `path` is relative to the listed location, '/'-separated (the file's own name from `stat`); `size` in
    bytes; `mtime_ns` since the epoch, None where the place does not tell; `etag` without its quotes,
    remote only.
    """

    path: str
    size: int
    mtime_ns: int | None
    etag: str | None


class Backend(Protocol):
    """A place that holds bytes under keys; `Location` is the only caller.

    Keys are absolute paths locally, object keys remotely ("" is the bucket itself), whole URLs for HTTP.
    All methods raise `StorageError`, or its subclass `NotFoundError` where the thing to read is absent.
    """

    is_local: bool

    def read(self, key: str) -> bytes:
        """The whole file."""
        ...

    def read_range(self, key: str, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`."""
        ...

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """One `bytes` per (offset, size), in the order asked."""
        ...

    def stream(self, key: str, chunk_bytes: int, start: int) -> Iterator[bytes]:
        """The bytes from `start` on, in order."""
        ...

    def open(self, key: str) -> BinaryIO:
        """A seekable buffered reader."""
        ...

    def write(self, key: str, data: bytes, *, fsync: bool) -> None:
        """Put `data` under `key`, whole or not at all."""
        ...

    def writer(self, key: str, *, fsync: bool) -> AbstractContextManager[BinaryIO]:
        """A file that appears under `key` when its block ends without an exception."""
        ...

    def upload(self, key: str, source: Path) -> None:
        """Put a local file under `key`, whole or not at all."""
        ...

    def stat(self, key: str) -> Entry | None:
        """What is known of the file; None where none is."""
        ...

    def is_dir(self, key: str) -> bool:
        """Is it a folder, or a prefix with something below it?"""
        ...

    def list(self, key: str, *, recursive: bool) -> Iterator[Entry]:
        """The files below, by path in byte order; none where nothing is."""
        ...

    def delete(self, key: str) -> None:
        """Remove the file; a missing one is fine."""
        ...

    def delete_tree(self, key: str) -> None:
        """Remove everything below; refuse roots."""
        ...

    def make_dirs(self, key: str) -> None:
        """Make the folder where the place has folders."""
        ...

    def check_writable(self, key: str) -> None:
        """Raise where nothing can be written."""
        ...

    def remove_leftovers(self, key: str) -> None:
        """Remove what writers that were killed left below, and nothing of living ones."""
        ...


def temporary_name(name: str) -> str:
    """A fresh name for the unfinished twin of `name`, never longer than a file system allows."""
    short = name.encode("utf-8", "surrogateescape")[:_LONGEST_NAME_BYTES].decode("utf-8", "ignore")
    return f".{short}.{secrets.token_hex(8)}.tmp"


def is_temporary(name: str) -> bool:
    """Is the file of this name (no folders) a leftover of an interrupted write of ours?"""
    return name.endswith(".tmp") and TEMPORARY.fullmatch(name) is not None


def check_range(url: str, offset: int, size: int) -> None:
    """Refuse a range that no file can have, before any place is asked."""
    if offset < 0 or size < 0:
        raise StorageError(
            f"cannot read {size} bytes at offset {offset}",
            where=url,
            fix="offsets and sizes count from 0; the index that gave them is wrong",
        )


def short_read(url: str, offset: int, size: int, got: int) -> StorageError:
    """The error for a range that lies wholly or partly past the end of the file."""
    return StorageError(
        f"only {got} of {size} bytes at offset {offset}: the file ends before that",
        where=url,
        fix="the file is truncated or changed since it was indexed; restore it, or index it again",
    )


def coalesce(
    ranges: Sequence[tuple[int, int]], gap_bytes: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Merge (offset, size) ranges that lie at most `gap_bytes` apart, so that one request serves many.

    Returns the merged spans in ascending order as (offset, size), and for each input range, in input order,
    (index of its span, offset within the span). Empty ranges belong to no span: (-1, 0).
    """
    spans: list[list[int]] = []  # [start, end)
    places = [(-1, 0)] * len(ranges)
    for index in sorted(range(len(ranges)), key=ranges.__getitem__):
        offset, size = ranges[index]
        if size == 0:
            continue
        if spans and offset - spans[-1][1] <= gap_bytes:
            spans[-1][1] = max(spans[-1][1], offset + size)
        else:
            spans.append([offset, offset + size])
        places[index] = (len(spans) - 1, offset - spans[-1][0])
    return [(start, end - start) for start, end in spans], places
