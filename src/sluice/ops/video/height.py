"""How high is a video?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.video.shape import ClipShape


@measure(version=1, cost="header")
def video_height_px(
    clip_shape: ClipShape,
) -> Annotated[int, Field(unit="px", ge=1, higher_is="higher", bound=">= 256")]:
    """Height as displayed, in pixels: turned by the display matrix, cropped.

    A phone's 1920 x 1080 with a quarter turn is 1920 high.
    """
    return clip_shape.height_px
