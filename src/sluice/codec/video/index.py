"""What an MP4's index alone says of its video: size, length, frames, without a decoder; where it is in doubt, nothing.

A hundredth of what `probe` costs, for passes over many clips. Boxes by ISO/IEC 14496-12, by their numbers there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from sluice.codec.limits import current_limits
from sluice.errors import UnreadableError
from sluice.sample.media import Media

LARGEST_INDEX = 64 << 20
"""Bytes of `moov` that are read; a day at 30 frames a second has 40 MB."""

_TABLES = (b"stsz", b"stts", b"ctts", b"stsd", b"stbl")
_HEAD = struct.Struct(">I4s")
_ONE = 1 << 16  # 1.0 in a display matrix


@dataclass(frozen=True, slots=True)
class Glance:
    """A video as shown: `width_px` and `height_px` (turned, square pixels), `duration_s`, `frame_count`.

    As `probe` would say; times of the last frame's end and the first one's beginning, by the tables of the index.
    """

    width_px: int
    height_px: int
    duration_s: float
    frame_count: int


class _Doubt(Exception):  # noqa: N818 - no error: what is asked must be asked of a decoder
    """The index does not tell all."""


def glance(media: Media) -> Glance | None:
    """What the index of the whole MP4 behind a view says; None where it is no MP4, or leaves anything in doubt.

    In doubt are pixels that are not said to be square, edit lists that cut, fragments, several videos, turns by other
    than quarters, and a file that ends early or is malformed. Raises LimitError, and StorageError where the bytes are
    gone.
    """
    try:
        with media.open() as file:
            found = _of_index(_index(file))
    except (_Doubt, struct.error, ValueError, OverflowError, LookupError):
        return None
    current_limits().check_video_size(found.width_px, found.height_px)
    current_limits().check_video_length(found.duration_s, found.frame_count)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class VideoTables:
    """The first video track of an MP4: its pictures' size as stored; in ticks of `scale` a second when each begins, in
    order of decoding, and how long all of them take to be decoded.
    """

    width_px: int
    height_px: int
    begins: NDArray[np.int64]
    duration: int
    scale: int


def video_tables(file: BinaryIO) -> VideoTables:
    """What the index of a file says that was just written. Raises UnreadableError where it is not whole."""
    try:
        tracks = (_children(body) for kind, body in _boxes(_index(file)) if kind == b"trak")
        media = next(m for t in tracks if (m := _children(t[b"mdia"]))[b"hdlr"][8:12] == b"vide")
        table, header = _children(_children(media[b"minf"])[b"stbl"]), media[b"mdhd"]
        (scale,) = struct.unpack_from(">I", header, 20 if header[0] else 12)
        _, entry = next(_boxes(table[b"stsd"], 8))
        width, height = struct.unpack_from(">HH", entry, 24)
        begins, durations = _times(table)
    except (_Doubt, StopIteration, struct.error, ValueError, LookupError) as error:
        raise UnreadableError("corrupt", "an MP4 whose index is not whole") from error
    return VideoTables(width, height, begins, int(durations.sum()), scale)


def _index(file: BinaryIO) -> bytes:
    """The contents of `moov`, of a file whose last box is all there (4.2)."""
    end = file.seek(0, 2)
    at, index, has_media = 0, b"", False
    while at < end:
        file.seek(at)
        head = file.read(16)
        size, kind = struct.unpack_from(">I4s", head)
        header = 8
        if size == 1:
            (size,), header = struct.unpack_from(">Q", head, 8), 16
        elif size == 0:
            size = end - at
        if not header <= size <= end - at or kind in (b"moof", b"sidx") or (at == 0 and kind != b"ftyp"):
            raise _Doubt
        if kind == b"moov":
            if index or size > LARGEST_INDEX:
                raise _Doubt
            file.seek(at + header)
            index = file.read(size - header)
        has_media |= kind == b"mdat"
        at += size
    if not index or not has_media:
        raise _Doubt
    return index


def _boxes(data: bytes, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Kind and contents of the boxes that `data` holds from `start` on."""
    at = start
    last = len(data) - 8
    while at <= last:
        size, kind = _HEAD.unpack_from(data, at)
        at += size
        if size < 8 or at > last + 8:
            raise _Doubt
        yield kind, data[at - size + 8 : at]


def _one(data: bytes, *path: bytes) -> bytes:
    """The contents of the one box at the end of a path."""
    for kind in path:
        found = [body for name, body in _boxes(data) if name == kind]
        if len(found) != 1:
            raise _Doubt
        data = found[0]
    return data


def _of_index(moov: bytes) -> Glance:
    (scale_of_movie,) = struct.unpack_from(">I", _one(moov, b"mvhd"), 20 if _one(moov, b"mvhd")[0] else 12)
    tracks = [body for kind, body in _boxes(moov) if kind == b"trak"]
    videos = [track for track in tracks if _one(track, b"mdia", b"hdlr")[8:12] == b"vide"]
    if len(videos) != 1 or any(kind == b"mvex" for kind, _ in _boxes(moov)):
        raise _Doubt
    (track,) = videos
    media = _one(track, b"mdia", b"mdhd")
    (scale,) = struct.unpack_from(">I", media, 20 if media[0] else 12)
    begins, durations = _times(_children(_one(track, b"mdia", b"minf", b"stbl")))
    if (durations <= 0).any():
        raise _Doubt
    first, last = int(begins.min()), int((begins + durations).max())
    _check_edits(track, first, last, scale, scale_of_movie)
    width, height = _shown(track)
    return Glance(width, height, (last - first) / scale, len(begins))


def _children(data: bytes) -> dict[bytes, bytes]:
    """Contents of the boxes in `data` by their kinds, of which none comes twice that matters here."""
    found: dict[bytes, bytes] = {}
    for kind, body in _boxes(data):
        if kind in found and kind in _TABLES:
            raise _Doubt
        found[kind] = body
    return found


def _times(table: dict[bytes, bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When each frame begins and how long it takes to be decoded, in units of the media's clock (8.6.1.2, 8.6.1.3)."""
    size, count = struct.unpack_from(">II", table[b"stsz"], 4)
    if not 0 < count <= current_limits().video_frames or (size and size * count < count):
        raise _Doubt
    durations = _run_lengths(table[b"stts"], count, signed=False)
    begins = np.cumsum(durations) - durations
    if b"ctts" in table:
        begins = begins + _run_lengths(table[b"ctts"], count, signed=True)
    return begins, durations


def _run_lengths(box: bytes, count: int, *, signed: bool) -> NDArray[np.int64]:
    (entries,) = struct.unpack_from(">I", box, 4)
    if entries == 1 and not signed:
        repeats, value = struct.unpack_from(">II", box, 8)
        if repeats != count:
            raise _Doubt
        return np.full(count, value, np.int64)
    table = np.frombuffer(box, ">u4", 2 * entries, 8).reshape(-1, 2)
    if int(table[:, 0].astype(np.int64).sum()) != count:
        raise _Doubt
    values = table[:, 1].astype(np.int32 if signed else np.int64).astype(np.int64)
    return np.repeat(values, table[:, 0])


def _check_edits(track: bytes, first: int, last: int, scale: int, scale_of_movie: int) -> None:
    """Doubt an edit list (8.6.6) that does more than to begin at the first frame and go on to the last one's end."""
    edits = [body for kind, body in _boxes(track) if kind == b"edts"]
    if not scale or not scale_of_movie:
        raise _Doubt
    if not edits:
        return
    box = _one(edits[0], b"elst")
    (entries,) = struct.unpack_from(">I", box, 4)
    if entries != 1 or len(edits) != 1:
        raise _Doubt
    length, begin = struct.unpack_from(">Qq" if box[0] else ">Ii", box, 8)
    (rate,) = struct.unpack_from(">I", box, 24 if box[0] else 16)
    shortest = (last - first) / scale - 1 / scale_of_movie - 1 / scale
    if begin != first or rate != _ONE or length / scale_of_movie < shortest:
        raise _Doubt


def _shown(track: bytes) -> tuple[int, int]:
    """Width and height as shown: of the sample entry (12.1.3), turned by the track's matrix (8.3.2)."""
    entries = list(_boxes(_one(track, b"mdia", b"minf", b"stbl", b"stsd"), 8))
    if len(entries) != 1:
        raise _Doubt
    entry = entries[0][1]
    width, height = struct.unpack_from(">HH", entry, 24)
    if _one_of_entry(entry, b"pasp") != (1, 1):
        raise _Doubt
    header = _one(track, b"tkhd")
    a, b, _, c, d, _, _, _, w = struct.unpack_from(">9i", header, 52 if header[0] else 40)
    if {abs(a), abs(d)} == {_ONE} and b == c == 0 and w == 1 << 30:
        return width, height
    if {abs(b), abs(c)} == {_ONE} and a == d == 0 and w == 1 << 30:
        return height, width
    raise _Doubt


def _one_of_entry(entry: bytes, kind: bytes) -> tuple[int, int]:
    """Two numbers of the one such box in a sample entry; square pixels that nothing tells of are in doubt."""
    found = [body for name, body in _boxes(entry, 78) if name == kind]
    if len(found) != 1:
        raise _Doubt
    first, second = struct.unpack_from(">II", found[0])
    return (1, 1) if first == second else (first, second)
