"""How wide is a video?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.video.shape import ClipShape


@measure(version=1, cost="header")
def video_width_px(
    clip_shape: ClipShape,
) -> Annotated[int, Field(unit="px", ge=1, higher_is="wider", bound=">= 256")]:
    """Width as displayed, in pixels: pixels made square, turned by the display matrix, cropped.

    A phone's 1920 x 1080 with a quarter turn is 1080 wide; PAL's 720 x 576 with pixels of 16:15 is 768.
    """
    return clip_shape.width_px
