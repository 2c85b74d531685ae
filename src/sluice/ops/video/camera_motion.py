"""Where does a video's camera turn from frame to frame?"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sluice.operator import Field, track

_LONGER_SIDE_PX = 128
_LEAST_RESPONSE = 0.3
"""Share of a correlation's energy at its peak below which two frames do not show one scene: 0.15 at most across cuts
of real videos, 0.4 at least within their shots."""


class Step(NamedTuple):
    """One frame against the one before; null for the first and where the two do not match."""

    x: Annotated[float | None, Field(unit="share of the diagonal", higher_is="further to the right")]
    y: Annotated[float | None, Field(unit="share of the diagonal", higher_is="further down")]


@track(version=1, sees="frames", libraries=("opencv-python-headless", "numpy"))
class video_camera_motion:  # noqa: N801 - an operator's name is its class's
    """How far the whole picture moves from each frame to the next, in shares of the diagonal of what is shown.

    The peak of the phase correlation (Kuglin and Hines 1975, OpenCV's `phaseCorrelate` with a Hann window, to
    fractions of a pixel) of the luma scaled to a longer side of 128 pixels. Null where less than three
    tenths of the correlation's energy lie at its peak: after cuts, and where there is nothing to see.
    """

    def start(self, info: Any) -> None:
        """A new source: nothing comes before its first frame."""
        scale = _LONGER_SIDE_PX / max(info.width_px, info.height_px)
        self._size = max(2, round(info.width_px * scale)), max(2, round(info.height_px * scale))
        self._window = cv2.createHanningWindow(self._size, cv2.CV_32F)
        self._diagonal = float(np.hypot(*self._size))
        self._before: NDArray[np.float32] | None = None

    def __call__(self, frame: Any) -> Step:
        """One row for each frame."""
        luma = frame.small(*self._size).astype(np.float32)
        before, self._before = self._before, luma
        if before is None:
            return Step(None, None)
        (x, y), response = cv2.phaseCorrelate(before, luma, self._window)
        if not response >= _LEAST_RESPONSE:
            return Step(None, None)
        return Step(x / self._diagonal, y / self._diagonal)
