"""How do the pictures of a video flow as it goes on?"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting

from sluice.operator import Field, track
from sluice.operator.spec import Inherited


class Flow(NamedTuple):
    """One pair of frames; null for the first frame."""

    mean: Annotated[float | None, Field(unit="pixels", ge=0, higher_is="more motion")]
    relative: Annotated[float | None, Field(unit="share of the diagonal", ge=0, higher_is="more motion")]


@track(version=1, sees="grid", libraries=("opencv-python-headless", "numpy"))
class video_flow:  # noqa: N801 - an operator's name is its class's
    """Dense optical flow from one frame to the next, of `fps` frames a second: its mean magnitude over all pixels.

    Farneback's method ("Two-frame motion estimation based on polynomial expansion", SCIA 2003) with the parameters of
    Data-Juicer's `video_motion_score_filter`, on the luma as shown, scaled down to a shorter side of `side_px`, or at
    native size with null. `mean` is in pixels of that size, `relative` in shares of its diagonal.
    """

    def __init__(
        self,
        *,
        fps: Annotated[float, Setting(gt=0), Inherited()] = 2.0,
        side_px: Annotated[int | None, Setting(ge=16), Inherited()] = 128,
    ) -> None:
        self._side_px = side_px

    def start(self, info: Any) -> None:
        """A new source: nothing comes before its first frame."""
        self._size = small_size(info.width_px, info.height_px, self._side_px)
        self._before: NDArray[np.uint8] | None = None

    def __call__(self, frame: Any) -> Flow:
        """One row for each frame of the grid."""
        luma = frame.luma if self._size is None else frame.small(*self._size)
        before, self._before = self._before, luma
        if before is None or before.shape != luma.shape:
            return Flow(None, None)
        mean = flow_magnitude(before, luma)
        return Flow(mean, mean / float(np.hypot(*luma.shape)))


def small_size(width: int, height: int, side_px: int | None) -> tuple[int, int] | None:
    """Width and height with a shorter side of `side_px`; None for a picture that is not larger, and with null."""
    if side_px is None or min(width, height) <= side_px:
        return None
    scale = side_px / min(width, height)
    return round(width * scale), round(height * scale)


def flow_magnitude(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Mean length in pixels of Farneback's flow between two pictures of one size [H, W]."""
    flow: Any = None
    flow = cv2.calcOpticalFlowFarneback(before, after, flow, 0.5, 3, 15, 3, 5, 1.2, 0)
    # Not cv2.magnitude and cv2.sumElems: what they round depends on where arrays lie in memory.
    return float(np.sqrt(np.square(flow).sum(axis=2)).mean(dtype=np.float64))
