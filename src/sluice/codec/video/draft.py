"""A clip's file while it is written."""

from __future__ import annotations

import io
import os
from pathlib import Path

MOST_IN_MEMORY = 16 << 20
"""Bytes of a draft that are kept in memory: half a minute of most videos, and little beside one encoder."""


class Draft:
    """A file that is being written: in memory as long as it is small, beyond `MOST_IN_MEMORY` at `path`.

    To make and to remove a small file takes as long as to copy its pictures into it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: io.BytesIO | io.FileIO = io.BytesIO()

    @property
    def data(self) -> bytes | None:
        """Its bytes while it is in memory, None once it lies at `path`."""
        return self._file.getvalue() if isinstance(self._file, io.BytesIO) else None

    def write(self, data: bytes) -> int:
        """Write where it stands."""
        # What is written comes in order, but for a few bytes at the end.
        if isinstance(self._file, io.BytesIO) and self._file.tell() + len(data) > MOST_IN_MEMORY:
            memory, self._file = self._file.getvalue(), self._path.open("wb", buffering=0)
            self.write(memory)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The byte where it stands."""
        return self._file.tell()

    def finish(self) -> None:
        """Nothing is written any more."""
        if not isinstance(self._file, io.BytesIO):
            self._file.close()

    def __del__(self) -> None:
        self.finish()  # also where a pass ends early
