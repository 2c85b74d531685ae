"""The features that operators on images share: the header, and pixels at two scales."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sluice.codec import Picture as _Picture
from sluice.codec import probe, tiff_page
from sluice.codec.header import ImageHeader
from sluice.codec.image import DEFINITION
from sluice.errors import StorageError, UnreadableError
from sluice.operator import feature
from sluice.sample import Media

LIBRARIES = ("simplejpeg", "pillow", "opencv-python-headless", "numpy")
SMALL_SIDE_PX = 128

Header = Annotated[ImageHeader, "what the file's head says"]
Picture = Annotated[_Picture, "the picture's bytes, decoded at most once"]
Rgb = Annotated[NDArray[np.uint8], "[H, W, 3], all pixels"]
Gray = Annotated[NDArray[np.uint8], "[H, W], BT.601 luma of all pixels"]
Small = Annotated[NDArray[np.uint8], "[h, w, 3], shorter side 128 px or less"]
SmallGray = Annotated[NDArray[np.uint8], "[h, w], BT.601 luma, shorter side 128 px or less"]


@feature(scope="image", version=DEFINITION, cost="header", libraries=LIBRARIES)
def header(media: Media | None) -> Header:
    """Size, format, frames and alpha, from the head of the file alone (or bytes already in hand)."""
    if media is None:
        raise UnreadableError("no bytes", "the item has no media")
    try:
        if media.page is not None:
            return probe(tiff_page(media.read(), media.page)).cropped(media.crop)
        with media.open() as file:
            return probe(file).cropped(media.crop)
    except StorageError as error:
        raise UnreadableError("bytes not readable", str(error)) from error


@feature(scope="image", version=DEFINITION, cost="decode", libraries=LIBRARIES)
def picture(encoded: bytes, media: Media) -> Picture:
    """The encoded picture, not decoded yet: `rgb` and `small` decode it, once for both where exact."""
    return _Picture(encoded, media.crop)


@feature(scope="image", version=DEFINITION, cost="decode", libraries=LIBRARIES)
def rgb(picture: Picture) -> Rgb:
    """All pixels: uint8 RGB [H, W, 3], EXIF orientation and crop applied, transparency over white."""
    return picture.rgb()


@feature(scope="image", version=DEFINITION, cost="decode", libraries=LIBRARIES)
def gray(picture: Picture) -> Gray:
    """Luma of all pixels: uint8 [H, W], 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), as OpenCV rounds."""
    return picture.luma()


@feature(scope="image", version=DEFINITION, cost="decode", libraries=LIBRARIES)
def small(picture: Picture) -> Small:
    """Few pixels: uint8 RGB [h, w, 3], the shorter side 128 px, or the whole picture where it is smaller.

    The definition is that of `codec.decode_small`: a function of the bytes alone, so that values made from it
    do not depend on which operators run beside. 128 px are four times the 32 px that the perceptual hashes
    look at, and make operators on it cost a tenth of what they would at 640 x 480.
    """
    return picture.small(SMALL_SIDE_PX)


@feature(scope="image", version=DEFINITION, cost="decode", libraries=LIBRARIES)
def small_gray(picture: Picture) -> SmallGray:
    """Luma of few pixels: uint8 [h, w], BT.601, the shorter side 128 px; luma first, made small after.

    May differ from the luma of `small` by a level or two of rounding, and does not need it.
    """
    return picture.small_luma(SMALL_SIDE_PX)
