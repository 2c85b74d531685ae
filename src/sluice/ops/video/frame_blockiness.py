"""Do a video's blocks show as it goes on?"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field as Setting

from sluice.operator import Field, track
from sluice.ops.image.blockiness import image_blockiness

_LEAST_PX = 16


@track(version=1, sees="grid", libraries=("opencv-python-headless", "numpy"))
class video_frame_blockiness:  # noqa: N801 - an operator's name is its class's
    """The `image_blockiness` of the luma of `fps` frames a second; no rows for pictures below 16 x 16 pixels."""

    def __init__(self, *, fps: Annotated[float, Setting(gt=0)] = 2.0) -> None: ...

    def start(self, info: Any) -> None:
        """A new source: no frame depends on another."""

    def __call__(
        self, frame: Any
    ) -> Annotated[float, Field(unit="ratio", ge=0, higher_is="blockier")] | None:
        """One row for each frame of the grid."""
        luma = frame.luma
        return image_blockiness(luma) if min(luma.shape) >= _LEAST_PX else None
