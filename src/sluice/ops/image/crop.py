"""How does an image lose what lies outside a part of it?"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator
from pydantic import Field as Setting

from sluice.errors import SampleError
from sluice.operator import mapper
from sluice.ops.image.borders import Box, inside
from sluice.ops.image.new_version import own_encoding, with_pixels
from sluice.ops.image.pixels import LIBRARIES, SMALL_SIDE_PX, Header, Picture
from sluice.sample import Item

Share = Annotated[float, Setting(ge=0, le=1)]
Pixels = Annotated[int, Setting(ge=0)]


def _has_area(box: tuple[float, ...]) -> tuple[float, ...]:
    if box[2] <= 0 or box[3] <= 0:
        raise ValueError("width and height of the box (its third and fourth number) must be above 0")
    return box


def _in_picture(box: tuple[float, ...]) -> tuple[float, ...]:
    if box[0] + box[2] > 1 + 1e-9 or box[1] + box[3] > 1 + 1e-9:
        raise ValueError("the box (left, top, width, height) reaches beyond the picture")
    return _has_area(box)


@mapper(version=1, cost="decode", libraries=LIBRARIES)
def image_crop(
    item: Item,
    picture: Picture,
    header: Header,
    encoded: bytes,
    *,
    to: Literal["bars", "centre", "box", "box_px"] = "bars",
    tolerance: Annotated[int, Setting(ge=0, le=255)] = 8,
    aspect_ratio: Annotated[float, Setting(gt=0, allow_inf_nan=False)] = 1.0,
    box: Annotated[tuple[Share, Share, Share, Share], AfterValidator(_in_picture)] = (0.0, 0.0, 1.0, 1.0),
    box_px: Annotated[tuple[Pixels, Pixels, Pixels, Pixels], AfterValidator(_has_area)] = (0, 0, 512, 512),
    quality: Annotated[int, Setting(ge=1, le=100)] = 90,
) -> Item:
    """The part of the image that `to` names; an image that is that part already keeps its bytes.

    `bars`: the image without its uniform borders, as `image_flat_border_ratio` finds them at small size with
    this `tolerance`, then to the pixel at full size; an image that is border throughout stays whole. `centre`:
    the largest part about the centre with this `aspect_ratio` (width over height), to the pixel. `box`: left,
    top, width and height as shares of the width and height, to the nearest pixel and at least one. `box_px`:
    the same in pixels (the default, 512 from the corner, is there to be replaced); an image that does not hold
    the whole box fails with `crop outside the picture`.

    The new version is encoded in the source's format where that is JPEG, PNG or WebP, else as PNG, at `quality`
    (JPEG and WebP): 8-bit RGB, turned upright, transparency laid over white, of an animation the first frame;
    an RGB colour profile stays, EXIF and comments do not.
    """
    width, height = header.width_px, header.height_px
    if to == "bars":
        part = _without_bars(picture, tolerance)
    elif to == "centre":
        part = _centre(width, height, aspect_ratio)
    elif to == "box":
        part = _of_shares(width, height, box)
    else:
        part = _of_pixels(width, height, box_px)
    if part == (0, 0, width, height):
        return item
    left, top, right, bottom = part
    pixels = np.ascontiguousarray(picture.rgb()[top:bottom, left:right])
    return with_pixels(item, pixels, own_encoding(header.format) or "png", encoded=encoded, quality=quality)


def _without_bars(picture: Picture, tolerance: int) -> Box:
    luma, small = picture.luma(), picture.small_luma(SMALL_SIDE_PX)
    height, width = luma.shape
    coarse = inside(small, tolerance)
    if coarse[2] == 0:
        return 0, 0, width, height
    across, down = width / small.shape[1], height / small.shape[0]
    left, top = math.floor(coarse[0] * across), math.floor(coarse[1] * down)
    right, bottom = min(width, math.ceil(coarse[2] * across)), min(height, math.ceil(coarse[3] * down))
    fine = inside(luma[top:bottom, left:right], tolerance)
    if fine[2] == 0:
        return left, top, right, bottom
    return left + fine[0], top + fine[1], left + fine[2], top + fine[3]


def _centre(width: int, height: int, aspect_ratio: float) -> Box:
    new_width = max(1, min(width, round(min(width, height * aspect_ratio))))
    new_height = max(1, min(height, round(min(height, width / aspect_ratio))))
    left, top = (width - new_width) // 2, (height - new_height) // 2
    return left, top, left + new_width, top + new_height


def _of_shares(width: int, height: int, box: tuple[float, ...]) -> Box:
    left, top = min(round(box[0] * width), width - 1), min(round(box[1] * height), height - 1)
    right, bottom = round((box[0] + box[2]) * width), round((box[1] + box[3]) * height)
    return left, top, max(left + 1, min(right, width)), max(top + 1, min(bottom, height))


def _of_pixels(width: int, height: int, box: tuple[int, ...]) -> Box:
    left, top, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
    if right > width or bottom > height:
        raise SampleError("crop outside the picture", f"crop {tuple(box)} of {width} x {height} pixels")
    return left, top, right, bottom
