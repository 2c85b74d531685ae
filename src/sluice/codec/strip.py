"""Takes from encoded pictures what is not the picture, without touching a coded pixel."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from sluice.codec.exif import exif_orientation
from sluice.codec.signature import signature
from sluice.errors import UnreadableError

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_APP0, _APP1, _APP2, _APP14, _APP15 = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and restart markers have no length
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset(
    b"tRNS gAMA cHRM sRGB iCCP cICP mDCV cLLI sBIT bKGD pHYs sPLT hIST acTL fcTL fdAT".split()
)
_WEBP_KEPT = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
_WEBP_HAS_EXIF, _WEBP_HAS_XMP = 0x08, 0x04


def strip_metadata(data: bytes) -> bytes:
    """The JPEG, PNG or WebP without EXIF, GPS, XMP, IPTC, comments, thumbnails and trailing bytes.

    What says how the pixels are shown stays: ICC profile, gamma, transparency, Adobe's colour transform, the
    frames of an animation, and an EXIF orientation other than 1, as the only entry of a new EXIF block. Other
    segments and chunks are copied byte for byte, so that the picture decodes to the same pixels. Raises
    UnreadableError: `empty file`, `not an image`, `truncated`, `corrupt`, or `metadata cannot be taken out` for
    any other format.
    """
    name = signature(data[:32])
    if name is None:
        raise UnreadableError("not an image" if data else "empty file")
    if name not in _STRIP:
        raise UnreadableError(
            "metadata cannot be taken out", f"of {name} pictures; of JPEG, PNG and WebP it can"
        )
    try:
        return b"".join(_STRIP[name](data))
    except (IndexError, struct.error) as error:
        raise UnreadableError("truncated", "the file ends before the picture does") from error


def orientation_exif(orientation: int) -> bytes:
    """An EXIF block (a TIFF structure, CIPA DC-008) that holds the orientation alone."""
    return struct.pack(">4sIHHHIHHI", b"MM\0*", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def _jpeg(data: bytes) -> Iterator[bytes]:
    """The segments to keep (ITU-T T.81, annex B), up to the end of the first image."""
    yield data[:2]
    at, seen_exif = 2, False
    while True:
        if data[at] != 0xFF:
            raise UnreadableError("corrupt", f"no JPEG marker at byte {at}")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == _EOI:
            yield data[at : at + 2]
            return
        if marker in _ALONE:
            yield data[at : at + 2]
            at += 2
            continue
        if marker in (0x00, _SOI):
            raise UnreadableError("corrupt", f"a JPEG marker at byte {at} that cannot stand there")
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if end > len(data):
            raise UnreadableError("truncated", f"JPEG segment at byte {at}")
        body = data[at + 4 : end]
        is_exif = marker == _APP1 and body[:6] == b"Exif\0\0"
        if is_exif and not seen_exif:
            yield _jpeg_orientation(exif_orientation(body))
        seen_exif |= is_exif
        yield _jpeg_segment(marker, data[at:end], body)
        at = _after_scan(data, end) if marker == _SOS else end
        yield data[end:at]


def _jpeg_segment(marker: int, whole: bytes, body: bytes) -> bytes:
    """A segment as it is to stand in the result: whole, without a thumbnail, or not at all."""
    if marker == _APP0 and body[:5] == b"JFIF\0" and len(body) >= 14:
        return b"\xff\xe0\x00\x10" + body[:12] + b"\0\0"  # the last two bytes: size of the thumbnail
    if marker == _APP2:
        return whole if body[:12] == b"ICC_PROFILE\0" else b""
    if marker == _APP14:
        return whole if body[:5] == b"Adobe" else b""
    return b"" if _APP0 <= marker <= _APP15 or marker == _COM else whole


def _jpeg_orientation(orientation: int) -> bytes:
    if orientation == 1:
        return b""
    body = b"Exif\0\0" + orientation_exif(orientation)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def _after_scan(data: bytes, start: int) -> int:
    """Where the first marker after a scan's coded data stands."""
    found = _END_OF_SCAN.search(data, start)
    if found is None:
        raise UnreadableError("truncated", "a scan of the JPEG does not end")
    return found.start()


def _png(data: bytes) -> Iterator[bytes]:
    """The chunks to keep (ISO/IEC 15948), up to the last: all that is critical, and what colours need."""
    yield _PNG_HEAD
    at, name = len(_PNG_HEAD), b""
    while name != b"IEND":
        size, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        if end > len(data):
            raise UnreadableError("truncated", f"PNG chunk at byte {at}")
        if name == b"eXIf":
            yield _png_orientation(exif_orientation(data[at + 8 : end - 4]))
        elif name[:1].isupper() or name in _PNG_KEPT:
            yield data[at:end]
        at = end


def _png_orientation(orientation: int) -> bytes:
    if orientation == 1:
        return b""
    body = b"eXIf" + orientation_exif(orientation)
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def _webp(data: bytes) -> Iterator[bytes]:
    """The RIFF chunks to keep (RFC 9649), with the flags and the size of the file made to agree."""
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise UnreadableError("truncated", "the WebP is shorter than its head says")
    orientation, kept, at = 1, [], 12
    while at + 8 <= end:
        name, size = struct.unpack_from("<4sI", data, at)
        after = at + 8 + size + size % 2
        if name == b"EXIF":
            orientation = exif_orientation(data[at + 8 : at + 8 + size])
        elif name in _WEBP_KEPT:
            kept.append(data[at : min(after, end)])
        at = after
    if not kept:
        raise UnreadableError("corrupt", "the WebP holds no picture")
    if orientation != 1:
        body = orientation_exif(orientation)
        kept.append(struct.pack("<4sI", b"EXIF", len(body)) + body)
    if kept[0][:4] == b"VP8X":
        flags = kept[0][8] & ~(_WEBP_HAS_EXIF | _WEBP_HAS_XMP) | (_WEBP_HAS_EXIF if orientation != 1 else 0)
        kept[0] = kept[0][:8] + bytes([flags]) + kept[0][9:]
    body = b"".join(kept)
    yield b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


_STRIP = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp}
