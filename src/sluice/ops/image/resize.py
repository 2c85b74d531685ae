"""How does an image become no larger than needed?"""

from typing import Annotated, Literal

from pydantic import Field as Setting

from sluice.codec.encode import Encoding
from sluice.codec.thumbnail import fit
from sluice.operator import mapper
from sluice.ops.image.new_version import own_encoding, with_pixels
from sluice.ops.image.pixels import LIBRARIES, Header, Picture
from sluice.sample import Item


@mapper(version=1, cost="decode", libraries=LIBRARIES)
def image_resize(
    item: Item,
    picture: Picture,
    header: Header,
    encoded: bytes,
    *,
    max_side_px: Annotated[int, Setting(ge=1, le=16383)] = 1024,
    format: Literal["source", "jpeg", "png", "webp"] = "source",
    quality: Annotated[int, Setting(ge=1, le=100)] = 90,
) -> Item:
    """The image with its longer side at most `max_side_px`, by averaging areas; it is never enlarged.

    An image that is small enough keeps its bytes (unless `format` asks for another format). Any other is
    encoded anew, in its own format where that is JPEG, PNG or WebP, else as PNG (`format`: source), or in the
    one named; its name gets the extension that belongs to it. `quality` is that of JPEG and WebP. The new
    version is 8-bit RGB: turned upright, transparency laid over white, of an animation the first frame; an
    RGB colour profile stays, EXIF and comments do not. The default of 1024 px is a choice of ours; WebP holds
    no more than 16383.
    """
    own = own_encoding(header.format)
    wanted: Encoding = (own or "png") if format == "source" else format
    if max(header.width_px, header.height_px) <= max_side_px and format in ("source", own):
        return item
    rgb = fit(picture.rgb(), max_side_px, max_side_px)
    return with_pixels(item, rgb, wanted, encoded=encoded, quality=quality)
