"""How do the faces in an image become unrecognisable?"""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting

from sluice.operator import mapper
from sluice.ops.image.faces import LEAST_SCORE, Faces
from sluice.ops.image.new_version import own_encoding, with_pixels
from sluice.ops.image.pixels import LIBRARIES, Header, Rgb
from sluice.sample import Item

_MARGIN = 0.1
_FINEST_SIGMA_PX = 4.0
_REACH = 3

Pixels = NDArray[np.uint8]


@mapper(version=1, cost="model", libraries=LIBRARIES)
def image_blur_faces(
    item: Item,
    faces: Faces,
    rgb: Rgb,
    header: Header,
    encoded: bytes,
    *,
    strength: Annotated[float, Setting(ge=0.05, le=1)] = 0.1,
    min_score: Annotated[float, Setting(ge=LEAST_SCORE, le=1)] = 0.6,
    quality: Annotated[int, Setting(ge=1, le=100)] = 90,
) -> Item:
    """The image with every face of at least `min_score` blurred; an image without any keeps its bytes.

    Each box is blurred by a Gaussian whose standard deviation is `strength` times its longer side, and the blur
    fades out over a tenth of that side beyond it, so that no box is seen. The tenth and the default strength are
    those of the study of face obfuscation in ImageNet (Yang et al., ICML 2022), the fading is ours: nothing of
    the old pixels stays inside the box. At 0.1 one still sees which way a face looks, at 0.3 skin alone.
    `min_score` is lower than that of `image_face_count`: a face that stays costs more than a dog's that goes.

    The boxes are those of the feature `faces`: what its detector misses (tiny, turned away, upside down) stays
    sharp, so look at a sample before promising anything. The new version is encoded in the source's format
    where that is JPEG, PNG or WebP, else as PNG, at `quality` (JPEG and WebP): 8-bit RGB, turned upright,
    transparency laid over white, of an animation the first frame; an RGB colour profile stays, EXIF and its
    thumbnail do not.
    """
    boxes = faces.at_least(min_score)
    if not len(boxes):
        return item
    height, width = rgb.shape[:2]
    pixels = rgb.copy()
    for box in boxes * (width, height, width, height):
        _blur(pixels, box, strength)
    return with_pixels(item, pixels, own_encoding(header.format) or "png", encoded=encoded, quality=quality)


def _blur(pixels: Pixels, box: NDArray[np.float64], strength: float) -> None:
    """Blur the pixels in and about a box (left, top, right, bottom in px), in place."""
    height, width = pixels.shape[:2]
    longer = float(max(box[2] - box[0], box[3] - box[1]))
    sigma, margin = strength * longer, max(1.0, _MARGIN * longer)
    outer = margin + _REACH * sigma
    x0, y0 = np.floor(np.clip(box[:2] - outer, 0, None)).astype(int)
    x1, y1 = np.ceil(np.clip(box[2:] + outer, None, (width, height))).astype(int)
    window = pixels[y0:y1, x0:x1]
    share = _fading(window.shape[:2], box - (x0, y0, x0, y0), margin)[:, :, None]
    soft = _smoothed(window.astype(np.float32), sigma)
    window[:] = np.rint(window * (1 - share) + soft * share).clip(0, 255).astype(np.uint8)


def _fading(shape: tuple[int, ...], box: NDArray[np.float64], margin_px: float) -> NDArray[np.float32]:
    """1 inside a box, 0 from `margin_px` beyond it on, and between them a ramp."""
    mask = np.zeros(shape, np.float32)
    half = margin_px / 2
    left, top = np.floor(np.clip(box[:2] - half, 0, None)).astype(int)
    right, bottom = np.ceil(box[2:] + half).astype(int)
    mask[top:bottom, left:right] = 1
    side = max(1, int(margin_px))
    return np.asarray(cv2.blur(mask, (side, side), borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def _smoothed(values: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Gaussian blur; a wide one at a smaller size, which looks the same and costs as much for any width."""
    height, width = values.shape[:2]
    factor = max(1.0, sigma_px / _FINEST_SIGMA_PX)
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    reduced = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(reduced, (0, 0), max(sigma_px / factor, 0.5), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
