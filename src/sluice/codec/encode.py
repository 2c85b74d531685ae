"""Pixels to encoded pictures, for the mappers that make new versions of images."""

from __future__ import annotations

import io
from typing import Any, Literal

from PIL import Image

from sluice.codec.raster import opened
from sluice.codec.thumbnail import Rgb
from sluice.errors import SampleError

Encoding = Literal["jpeg", "png", "webp", "avif"]
"""The formats that pictures are encoded in, by the words that recipes use."""

_RGB_PROFILE = b"RGB "
_ORIENTATION = 0x0112
_SIDE_MAX_PX: dict[Encoding, int] = {"jpeg": 65_535, "png": (1 << 31) - 1, "webp": 16_383, "avif": 65_536}
"""ITU-T T.81, ISO/IEC 15948, RFC 9649; for AVIF the largest frame of AV1."""


def encode(
    rgb: Rgb,
    encoding: Encoding,
    *,
    quality: int = 90,
    profile: bytes | None = None,
    exif: bytes | None = None,
) -> bytes:
    """A picture [H, W, 3] encoded as JPEG (4:2:0), PNG (lossless), WebP (lossy) or AVIF (4:2:0).

    `quality` is from 1 to 100 as libjpeg, libwebp and libavif count it; PNG has none. `profile` is the ICC
    profile that says what the values mean, `exif` an EXIF block. Nothing else is written. The same pixels give
    the same bytes with the same version of Pillow. Raises SampleError (`too large for this format`).
    """
    if max(rgb.shape[:2]) > _SIDE_MAX_PX[encoding]:
        shown = f"{rgb.shape[1]} x {rgb.shape[0]} pixels; {encoding} holds {_SIDE_MAX_PX[encoding]} on a side"
        raise SampleError("too large for this format", shown, fix="resize it first, or name another format")
    options: dict[str, Any] = {} if profile is None else {"icc_profile": profile}
    options |= {} if exif is None else {"exif": exif}
    if encoding != "png":
        options["quality"] = quality
    if encoding == "avif":
        options["max_threads"] = 1  # workers have a core each
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, format=encoding.upper(), **options)
    return out.getvalue()


def rgb_profile(data: bytes) -> bytes | None:
    """The ICC profile of an encoded picture where it speaks of RGB values (ICC.1, header bytes 16-19).

    Profiles of gray, CMYK or Lab pictures say nothing of the RGB values they are decoded to. Raises
    UnreadableError as decoding does.
    """
    with opened(io.BytesIO(data)) as (image, _):
        found = image.info.get("icc_profile")
    return found if isinstance(found, bytes) and found[16:20] == _RGB_PROFILE else None


def upright_exif(data: bytes) -> bytes | None:
    """The EXIF block of an encoded picture without its orientation, which decoding applies, and its thumbnail.

    None where there is nothing else in it. Raises UnreadableError as decoding does.
    """
    with opened(io.BytesIO(data)) as (image, _):
        found = image.getexif()
        found.pop(_ORIENTATION, None)
        return found.tobytes() if found else None
