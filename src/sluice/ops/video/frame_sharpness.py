"""How sharp is a video as it goes on?"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field as Setting

from sluice.operator import Field, track
from sluice.ops.image.sharpness import laplacian_variance


@track(version=1, sees="grid", libraries=("opencv-python-headless", "numpy"))
class video_frame_sharpness:  # noqa: N801 - an operator's name is its class's
    """The variance of the Laplacian of `fps` frames a second, of the luma at native size, as `image_sharpness`."""

    def __init__(self, *, fps: Annotated[float, Setting(gt=0)] = 2.0) -> None: ...

    def start(self, info: Any) -> None:
        """A new source: no frame depends on another."""

    def __call__(self, frame: Any) -> Annotated[float, Field(unit="variance", ge=0, higher_is="sharper")]:
        """One row for each frame of the grid."""
        return laplacian_variance(frame.luma)
