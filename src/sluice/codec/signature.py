"""Tells image formats apart by their first bytes, and reads the sizes a library must not be asked for."""

from __future__ import annotations

import struct

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\x01\0", "ICO"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
NO_DECODER = frozenset({"HEIF", "JPEG XL"})
"""Formats that are recognised but for which the core install brings no decoder."""


def signature(head: bytes) -> str | None:
    """The format that the first bytes (32 suffice) announce, by Pillow's name, or None."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PPM"
    if head[4:8] == b"ftyp":
        return _iso_brand(head)
    return None


def _iso_brand(head: bytes) -> str | None:
    brands = {head[8:12], *(head[i : i + 4] for i in range(16, 32, 4))}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


def early_size(head: bytes, name: str | None) -> tuple[int, int] | None:
    """Width and height in pixels as the head of a WebP or AVIF states them.

    Those two libraries allocate or refuse by size while opening, so their size is looked at first; None for
    other formats or where it is not in `head`.
    """
    try:
        if name == "WEBP":
            return _webp_size(head)
        return _avif_size(head) if name == "AVIF" else None
    except struct.error:
        return None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X":  # canvas, 24 bits each, less one
        return (
            1 + int.from_bytes(head[24:27], "little"),
            1 + int.from_bytes(head[27:30], "little"),
        )
    if kind == b"VP8L":  # 14 bits each, less one
        (bits,) = struct.unpack_from("<I", head, 21)
        return 1 + (bits & 0x3FFF), 1 + ((bits >> 14) & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _avif_size(head: bytes) -> tuple[int, int] | None:
    """The largest `ispe` (image spatial extents) property: the picture, not its tiles or thumbnail."""
    best, at = None, head.find(b"ispe")
    while at != -1:
        size = struct.unpack_from(">II", head, at + 8)
        if best is None or size[0] * size[1] > best[0] * best[1]:
            best = size
        at = head.find(b"ispe", at + 4)
    return best


def gif_frames(data: bytes, most: int) -> int:
    """The number of pictures in a GIF, found by walking its blocks without decoding; stops after `most` + 1.

    Counts up to the first damage or the end of `data`.
    """
    if len(data) < 13:
        return 0
    at = 13 + _color_table(data[10])
    frames = 0
    while at < len(data) and frames <= most:
        kind = data[at]
        if kind == 0x2C and at + 10 < len(data):  # picture: descriptor, colours, code size, data
            frames += 1
            at = _skip_blocks(data, at + 11 + _color_table(data[at + 9]))
        elif kind == 0x21:  # extension: label, data
            at = _skip_blocks(data, at + 2)
        else:
            break
    return frames


def _color_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1
