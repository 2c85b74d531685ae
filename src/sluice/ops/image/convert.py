"""How does an image change its file format?"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field as Setting

from sluice.codec.encode import upright_exif
from sluice.operator import mapper
from sluice.ops.image.new_version import with_pixels
from sluice.ops.image.pixels import LIBRARIES, Header, Picture
from sluice.sample import Item


@mapper(version=1, cost="decode", libraries=LIBRARIES)
def image_convert(
    item: Item,
    picture: Picture,
    header: Header,
    encoded: bytes,
    *,
    format: Literal["jpeg", "png", "webp", "avif"] = "jpeg",
    quality: Annotated[int, Setting(ge=1, le=100)] = 90,
    metadata: Literal["strip", "keep"] = "strip",
    again: bool = False,
) -> Item:
    """The image encoded in `format`; one that is in it already keeps its bytes, unless `again` is set.

    `quality` is that of JPEG, WebP and AVIF as libjpeg, libwebp and libavif count it; PNG is lossless. The new
    version is 8-bit RGB: turned upright, transparency laid over white, of an animation the first frame. An RGB
    colour profile stays. `metadata: keep` carries the EXIF block over without orientation and thumbnail,
    `strip` leaves it; XMP, IPTC and comments go in any case. Bytes that stay as they are keep all of it:
    `image_strip_metadata` takes it out. The item's name gets the extension of the format. An image too large
    for it (WebP: 16383 px on a side) fails.
    """
    if header.format.lower() == format and not again:
        return item
    exif = upright_exif(encoded) if metadata == "keep" else None
    return with_pixels(item, picture.rgb(), format, encoded=encoded, quality=quality, exif=exif)
