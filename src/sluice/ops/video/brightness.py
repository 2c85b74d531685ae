"""How bright is each frame of a video?"""

from __future__ import annotations

from typing import Annotated, Any

from sluice.operator import Field, track
from sluice.ops.image.exposure import image_exposure

_SIDE_PX = 32


@track(version=1, sees="frames", libraries=("opencv-python-headless", "numpy"))
class video_brightness:  # noqa: N801 - an operator's name is its class's
    """The mean luma of every frame, 0 (black) to 255 (white), of 32 x 32 pixels scaled by area.

    Rounding to whole levels averages out over 1,024 pixels: it is within about 0.02 of the mean of all pixels.
    """

    def start(self, info: Any) -> None:
        """A new source: no frame depends on another."""

    def __call__(
        self, frame: Any
    ) -> Annotated[float, Field(unit="luma", ge=0, le=255, higher_is="brighter")]:
        """One row for each frame."""
        return image_exposure(frame.small(_SIDE_PX, _SIDE_PX))
