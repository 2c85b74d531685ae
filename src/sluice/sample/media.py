"""A view of media: where its bytes lie, not a copy of them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, BinaryIO

from sluice.errors import StorageError
from sluice.storage import locate

Crop = tuple[int, int, int, int]
"""Left, top, width and height of a crop, in pixels of the displayed (EXIF- or rotation-corrected) picture."""


@dataclass(frozen=True, slots=True)
class Media:
    """A view of encoded media: a whole file, a byte range in it, or bytes in hand.

    `uri` is a path or URL; `offset` and `size` (bytes) narrow it to a range; `start_s` and `end_s` (seconds)
    and `crop` narrow what is decoded; `page` (from 1 on) says that another page of a TIFF than the first is meant.
    `data` holds the bytes themselves where a reader had them in hand
    anyway (a compressed tar, a Parquet cell). A view with neither `uri` nor `data` is an error to read.
    """

    uri: str = ""
    offset: int | None = None
    size: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    crop: Crop | None = None
    page: int | None = None
    data: bytes | None = None

    @property
    def addressable(self) -> bool:
        """Whether the bytes can be fetched again from `uri`, alone."""
        return bool(self.uri) and self.size is not None

    def read(self) -> bytes:
        """All encoded bytes of the view. Raises StorageError when they are not there any more."""
        if self.data is not None:
            return self.data
        if not self.uri:
            raise StorageError("a media view without location or bytes was read")
        place = locate(self.uri)
        if self.offset is None:
            return place.read()
        if self.size is None:
            raise StorageError(f"a byte range at {self.offset} has no size", where=self.uri)
        return place.read_range(self.offset, self.size)

    def head(self, size: int) -> bytes:
        """The first `size` encoded bytes, or all where the view is shorter."""
        if self.data is not None:
            return self.data[:size]
        if self.size is None:
            return self.read()[:size]
        return locate(self.uri).read_range(self.offset or 0, min(size, self.size))

    def open(self) -> BinaryIO:
        """A seekable file of the encoded bytes that fetches only what is read (for header-only work)."""
        if self.data is not None or self.size is None:
            return io.BytesIO(self.read())
        return io.BufferedReader(_RangeFile(self), buffer_size=_HEAD_BYTES)


# Enough for the headers of practically every JPEG, PNG and WebP (EXIF with a thumbnail is 10-60 KB), small
# enough that header-only passes do not read the pictures.
_HEAD_BYTES = 1 << 15


class _RangeFile(io.RawIOBase):
    def __init__(self, media: Media) -> None:
        self._place, self._start, self._size = locate(media.uri), media.offset or 0, media.size or 0
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        count = max(0, min(len(buffer), self._size - self._at))
        if count:
            buffer[:count] = self._place.read_range(self._start + self._at, count)
            self._at += count
        return count
