"""Makes an image item's new version from pixels, for the mappers that change them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sluice.codec.encode import Encoding, encode, rgb_profile
from sluice.sample import Item, Media
from sluice.sample.members import member_type

_OF_SOURCE: dict[str, Encoding] = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp"}
_EXTENSIONS: dict[Encoding, tuple[str, ...]] = {
    "jpeg": ("jpg", "jpeg", "jpe", "jfif"),
    "png": ("png",),
    "webp": ("webp",),
    "avif": ("avif", "avifs"),
}


def own_encoding(format_name: str) -> Encoding | None:
    """The encoding of a source's format as a header names it; None where we do not write it."""
    return _OF_SOURCE.get(format_name)


def with_pixels(
    item: Item,
    rgb: NDArray[np.uint8],
    encoding: Encoding,
    *,
    encoded: bytes,
    quality: int,
    exif: bytes | None = None,
) -> Item:
    """The item with these pixels [H, W, 3], in this encoding, under a name with an extension that belongs to it.

    An RGB colour profile of the old version (`encoded`) stays. `quality` is that of JPEG, WebP and AVIF.
    """
    data = encode(rgb, encoding, quality=quality, profile=rgb_profile(encoded), exif=exif)
    return replace(
        item, name=_renamed(item.name, encoding), content_type=f"image/{encoding}", media=Media(data=data)
    )


def _renamed(name: str, wanted: Encoding) -> str:
    """The item's name with an extension of the format; one that fits stays, as does a name without any."""
    stem, dot, extension = name.rpartition(".")
    if member_type(name)[0] != "image" or extension.lower() in _EXTENSIONS[wanted]:
        return name
    return f"{stem}{dot}{_EXTENSIONS[wanted][0]}"
