"""The boxes of an MP4 file: is it whole, and its bytes with the index moved before the media."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from sluice.errors import UnreadableError

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}


class Box(NamedTuple):
    """A box at `start` of its file: its type, its size and that of its header, in bytes (ISO/IEC 14496-12, 4.2)."""

    kind: bytes
    start: int
    size: int
    header: int


def top_boxes(file: BinaryIO) -> list[Box]:
    """The boxes of a file, in order. `UnreadableError` ("truncated") where the last is not all there."""
    file.seek(0, 2)
    end, at = file.tell(), 0
    found = []
    while at < end:
        file.seek(at)
        box = _box(file.read(16), at, end)
        if box is None:
            raise UnreadableError("truncated", f"the box at byte {at} is not all there")
        found.append(box)
        at += box.size
    return found


def _box(head: bytes, at: int, end: int) -> Box | None:
    if len(head) < 8:
        return None
    size, kind = struct.unpack(">I4s", head[:8])
    header = 8
    if size == 1 and len(head) >= 16:
        (size,), header = struct.unpack(">Q", head[8:16]), 16
    elif size == 0:
        size = end - at
    return Box(kind, at, size, header) if header <= size <= end - at else None


def index_first(file: BinaryIO, chunk_bytes: int) -> Iterator[bytes]:
    """The bytes of the MP4 in a file with `moov` right before the first `mdat`; everything else stays in its order.

    The offsets that `stco` and `co64` keep are moved by as much (what `+faststart` does in a second pass over the
    file is done here while the file is copied anyway).
    """
    boxes = top_boxes(file)
    moov = next((b for b in boxes if b.kind == b"moov"), None)
    media = next((b for b in boxes if b.kind == b"mdat"), None)
    if moov is None or media is None:
        raise UnreadableError("corrupt", "an MP4 without index or media")
    moved = moov.start > media.start
    for box in boxes:
        if moved and box is media:
            yield _index(file, moov)
        if not (moved and box is moov):
            yield from _bytes(file, box, chunk_bytes)


def _bytes(file: BinaryIO, box: Box, chunk_bytes: int) -> Iterator[bytes]:
    at, end = box.start, box.start + box.size
    file.seek(at)
    while at < end:
        data = file.read(min(chunk_bytes, end - at))
        if not data:
            raise UnreadableError("truncated", f"the file ends at byte {at}")
        yield data
        at += len(data)


def _index(file: BinaryIO, moov: Box) -> bytes:
    """The index as it is when it comes first: by its own size, everything lies further back."""
    file.seek(moov.start)
    data = bytearray(file.read(moov.size))
    _shift(data, 0, len(data), moov.size)
    return bytes(data)


def _shift(data: bytearray, start: int, end: int, by: int) -> None:
    at = start
    while at < end:
        size, kind = struct.unpack_from(">I4s", data, at) if end - at >= 8 else (0, b"")
        if not 8 <= size <= end - at:
            raise UnreadableError("corrupt", "a box of the index is longer than what holds it")
        body = at + 8
        if kind in _CONTAINERS:
            _shift(data, body, at + size, by)
        elif kind in (b"stco", b"co64"):
            (count,) = struct.unpack_from(">I", data, body + 4)
            layout = f">{count}{'I' if kind == b'stco' else 'Q'}"
            places = struct.unpack_from(layout, data, body + 8)
            try:
                struct.pack_into(layout, data, body + 8, *(p + by for p in places))
            except struct.error as error:
                raise UnreadableError("too large", "media beyond 4 GiB need 64-bit offsets") from error
        at += size
