"""Which way up a picture is: the one EXIF tag that changes what a picture shows."""

from __future__ import annotations

import struct

_ORIENTATION = 0x0112
_SHORT = 3


def exif_orientation(exif: bytes) -> int:
    """The orientation (1-8) that an EXIF block states, 1 where it states none or is damaged.

    `exif` is a TIFF structure with or without the leading `Exif\\0\\0`; only its first directory is read
    (CIPA DC-008, section 4.6.4: tag 0x0112, one SHORT).
    """
    tiff = exif[6:] if exif[:6] == b"Exif\0\0" else exif
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
