"""Small pictures for people: thumbnails and captions, here because only `codec` touches codecs."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.codec.image import decode_small

Rgb = NDArray[np.uint8]
"""A picture of shape [height, width, 3], 0 to 255."""


def thumbnail(data: bytes, *, max_side_px: int = 160, quality: int = 75) -> tuple[bytes, int, int]:
    """A small JPEG of an encoded picture with its width and height.

    The longer side becomes at most `max_side_px`; small pictures are not enlarged. Raises SampleError where
    the picture cannot be decoded.
    """
    rgb = fit(decode_small(data, min_side_px=max_side_px), max_side_px, max_side_px)
    return encode_jpeg(rgb, quality=quality), rgb.shape[1], rgb.shape[0]


def encode_jpeg(rgb: Rgb, *, quality: int = 75) -> bytes:
    """The picture as a JPEG with 4:2:0 chroma; `quality` from 1 to 100 as libjpeg counts it."""
    import simplejpeg

    encoded: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(rgb), quality=quality, colorspace="RGB", colorsubsampling="420"
    )
    return encoded


def encode_png(rgb: Rgb) -> bytes:
    """The picture as a PNG, losslessly."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(rgb).save(out, format="PNG")
    return out.getvalue()


def fit_area(rgb: Rgb, most_px: int) -> Rgb:
    """The picture scaled down as by `fit` until it has `most_px` pixels or fewer; never enlarged."""
    height, width = rgb.shape[:2]
    factor = (most_px / (height * width)) ** 0.5
    return fit(rgb, int(width * factor) or 1, int(height * factor) or 1)


def fit(rgb: Rgb, width_px: int, height_px: int) -> Rgb:
    """The picture scaled down by area averaging until it fits into the box; never enlarged."""
    import cv2

    height, width = rgb.shape[:2]
    factor = min(1.0, width_px / width, height_px / height)
    if factor == 1.0:
        return rgb
    target = (max(1, round(width * factor)), max(1, round(height * factor)))
    scaled: Any = cv2.resize(rgb, target, interpolation=cv2.INTER_AREA)
    return np.asarray(scaled, dtype=np.uint8)


def caption(text: str, width_px: int, height_px: int, *, ink: int = 70, paper: int = 255) -> Rgb:
    """One line of text as a picture, cut with an ellipsis where too wide; `ink` and `paper` are grays."""
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.new("L", (width_px, height_px), paper)
    font = ImageFont.load_default(size=height_px * 0.62)
    draw = ImageDraw.Draw(canvas)
    line = "".join(c if c.isprintable() else "\ufffd" for c in text).encode("utf-8", "replace").decode()
    shown = line
    while shown and draw.textlength(shown, font=font) > width_px - 8:
        line = line[:-1]
        shown = line + "…" if line else ""
    draw.text((width_px / 2, height_px / 2), shown, fill=ink, font=font, anchor="mm")
    gray = np.asarray(canvas, dtype=np.uint8)
    return np.repeat(gray[:, :, None], 3, axis=2)
