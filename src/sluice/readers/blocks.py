"""The bytes of a tar by position, from a file or out of a compressed stream, with bounded memory."""

from __future__ import annotations

import os
from typing import Protocol

import pyarrow as pa

from sluice.errors import StorageError

_NEAR = 1 << 16
_AHEAD = 1 << 16
_STEP = 1 << 16  # what a damaged stream loses at most of the good bytes before the damage


class Blocks(Protocol):
    """Bytes by absolute position; what was asked for last can be asked for again, before it nothing may be."""

    size: int | None
    """Length in bytes, None where only the end will tell."""
    broken: str
    """What ended the stream early ("" while all is well)."""

    def at(self, position: int, size: int) -> bytes:
        """`size` bytes from `position`, fewer where the archive ends before that."""
        ...


class FileBlocks:
    """An uncompressed archive behind a file descriptor; small members are read ahead, big bodies skipped."""

    def __init__(self, fd: int, url: str, base: int = 0) -> None:
        self._fd, self._url, self._base = fd, url, base
        self.size: int | None = base + os.fstat(fd).st_size
        self.broken = ""
        self._start, self._window = 0, b""

    def at(self, position: int, size: int) -> bytes:
        """`size` bytes from `position`, fewer at the end."""
        offset = position - self._start
        if offset >= 0 and offset + size <= len(self._window):
            return self._window[offset : offset + size]
        near = 0 <= offset - len(self._window) < _NEAR
        data = self._pread(position, max(size, _AHEAD) if near or size > _AHEAD else size)
        if len(data) > size:
            self._start, self._window = position, data
            return data[:size]
        self._start, self._window = position + len(data), b""
        return data

    def _pread(self, position: int, size: int) -> bytes:
        try:
            return os.pread(self._fd, size, position - self._base)
        except OSError as error:
            raise StorageError(
                f"cannot read at offset {position} ({error.strerror})", where=self._url, fix="check the disk"
            ) from error


class StreamBlocks:
    """An archive inside a gzip, zstd, bz2 or lz4 stream: forward only, what was passed is forgotten.

    A stream that breaks off, or whose checksums are wrong, ends there; `broken` says why.
    """

    def __init__(self, fd: int, suffix: str) -> None:
        file = os.fdopen(os.dup(fd), "rb")  # Arrow closes it
        file.seek(0)
        self._stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), _CODECS[suffix])
        self._start, self._data = 0, b""
        self._ended = False
        self.size: int | None = None
        self.broken = ""

    def at(self, position: int, size: int) -> bytes:
        """`size` bytes from `position` (which must not lie before what was forgotten)."""
        if position < self._start:
            raise ValueError("a compressed archive cannot be read backwards")
        self._forward(position)
        parts, have = [self._data], len(self._data)
        while have < size and (chunk := self._pull(max(_AHEAD, min(size - have, _STEP)))):
            parts.append(chunk)
            have += len(chunk)
        if len(parts) > 1:
            self._data = b"".join(parts)
        return self._data[:size]

    def _forward(self, position: int) -> None:
        while position > self._start + len(self._data):
            self._start += len(self._data)
            self._data = self._pull(min(_STEP, max(_AHEAD, position - self._start)))
            if not self._data:
                return
        self._data = self._data[position - self._start :]
        self._start = position

    def _pull(self, size: int) -> bytes:
        if self._ended:
            return b""
        try:
            data: bytes = self._stream.read(size)
        except (OSError, pa.ArrowInvalid) as error:
            self.broken = str(error).strip() or "the compressed stream is damaged"
            data = b""
        self._ended = not data
        return data


_CODECS = {".gz": "gzip", ".tgz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
"""Which codec a compressed tar's last suffix calls for."""
