"""A tar shard wherever it lies: which files are shards, and their bytes by position, here, remote or compressed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from sluice.readers.blocks import Blocks, FileBlocks, StreamBlocks
from sluice.readers.protocol import FileStat, Slice
from sluice.storage import Location

REMOTE_BYTES = 1 << 30
"""A remote shard up to this size is one slice, fetched once; larger ones are cut by reading their headers."""

_COMPRESSED = {".gz", ".tgz", ".zst", ".bz2", ".lz4"}
_STEP = 1 << 20


def is_tar(path: str) -> bool:
    """Is a file of this name a tar (`.tar`, `.tgz`, `.tar.gz`, …)?"""
    name = path.lower()
    return name.endswith((".tar", ".tgz")) or (".tar." in name and is_compressed(name))


def is_compressed(path: str) -> bool:
    """Is a tar of this name compressed, so that nothing in it has an address?"""
    return path[path.rfind(".") :].lower() in _COMPRESSED


class _PythonFile:
    """A seekable remote file as blocks, for shards too large to fetch before they are cut."""

    broken = ""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size: int | None = size

    def at(self, position: int, size: int) -> bytes:
        """`size` bytes from `position`, fewer at the end."""
        self._file.seek(position)
        return self._file.read(size)


def opened_blocks(opened: BinaryIO, file: FileStat) -> Blocks:
    """The bytes of an opened shard that is not compressed."""
    try:
        return FileBlocks(opened.fileno(), file.path)
    except OSError:
        return _PythonFile(opened, file.size)


@contextmanager
def slice_file(part: Slice, place: Location) -> Iterator[tuple[int, int]]:
    """A descriptor of the slice's bytes, and the position in the shard of its first byte."""
    if place.is_local:
        with place.open() as opened:
            yield opened.fileno(), 0
        return
    with tempfile.TemporaryFile() as spool:
        left = part.stop - part.start if part.stop is not None else None
        for chunk in place.stream(start=part.start):
            spool.write(chunk if left is None else chunk[:left])
            if left is not None:
                left -= len(chunk)
                if left <= 0:
                    break
        spool.flush()
        yield spool.fileno(), part.start


@contextmanager
def whole_file(place: Location) -> Iterator[tuple[FileBlocks, str]]:
    """A shard that can be read at any position, unpacked into an unnamed temporary file where it is not so.

    With it, why a compressed stream ended early ("" where it did not).
    """
    file = FileStat(place.name, 0)
    with slice_file(Slice((file,)), place) as (fd, _):
        if not is_compressed(place.name):
            yield FileBlocks(fd, place.url), ""
            return
        with tempfile.TemporaryFile() as spool:
            stream, position = StreamBlocks(fd, place.suffix), 0
            while chunk := stream.at(position, _STEP):
                spool.write(chunk)
                position += len(chunk)
            spool.flush()
            yield FileBlocks(spool.fileno(), place.url), stream.broken
