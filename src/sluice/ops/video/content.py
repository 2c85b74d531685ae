"""How much does each frame of a video differ from the one before?"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sluice.operator import Field, track

WIDTH_PX, HEIGHT_PX = 64, 36
HASH_BITS = 256
_SIDE_PX, _LOW = 32, 16  # the 16 x 16 lowest frequencies of 32 x 32 pixels


class Content(NamedTuple):
    """One frame of a source."""

    pts: Annotated[int, Field(unit="ticks of the stream's time base")]
    difference: Annotated[float | None, Field(unit="levels of 255", ge=0, le=255)]
    hash: Annotated[bytes, Field(bits=HASH_BITS, unit="bits")]


@track(version=1, sees="frames", libraries=("opencv-python-headless", "numpy"))
class video_content:  # noqa: N801 - an operator's name is its class's
    """What shots are found by, for every frame of the source.

    `pts`: the frame's presentation time in ticks. `difference`: mean absolute difference of its RGB levels to those of
    the frame before, both scaled to 64 x 36 by area; null for the first. `hash`: 256 bits that say which of the
    16 x 16 lowest frequencies (DCT of the luma at 32 x 32) lie above their median, as perceptual hashes do (Zauner
    2010) and PySceneDetect's hash detector.
    """

    def start(self, info: Any) -> None:
        """A new source: nothing comes before its first frame."""
        self._before: NDArray[np.int16] | None = None

    def __call__(self, frame: Any) -> Content:
        """One row for each frame."""
        pixels = frame.small_rgb(WIDTH_PX, HEIGHT_PX).astype(np.int16)
        difference = None if self._before is None else float(np.abs(pixels - self._before).mean())
        self._before = pixels
        luma = frame.small(_SIDE_PX, _SIDE_PX).astype(np.float32)
        low = cv2.dct(luma)[:_LOW, :_LOW].ravel()
        return Content(frame.pts, difference, np.packbits(low > np.median(low)).tobytes())
