"""Pixels to encoded pictures, for the mappers that make new versions of images."""

from __future__ import annotations

import io
from typing import Any, Literal

from PIL import Image

from sluice.codec.raster import opened
from sluice.codec.thumbnail import Rgb

Encoding = Literal["jpeg", "png", "webp"]
"""The formats that pictures are encoded in, by the words that recipes use."""

_RGB_PROFILE = b"RGB "


def encode(rgb: Rgb, encoding: Encoding, *, quality: int = 90, profile: bytes | None = None) -> bytes:
    """A picture [H, W, 3] encoded as JPEG (4:2:0), PNG (lossless) or WebP (lossy).

    `quality` is from 1 to 100 as libjpeg and libwebp count it; PNG has none. `profile` is the ICC profile that
    says what the values mean. Nothing else is written: no EXIF, no comments. The same pixels give the same
    bytes with the same version of Pillow.
    """
    options: dict[str, Any] = {} if profile is None else {"icc_profile": profile}
    if encoding != "png":
        options["quality"] = quality
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
