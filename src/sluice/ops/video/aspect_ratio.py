"""Is a video wide or tall?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.video.shape import ClipShape


@measure(version=1, cost="header")
def video_aspect_ratio(
    clip_shape: ClipShape,
) -> Annotated[float, Field(unit="width/height", ge=0, higher_is="wider", bound="0.429..2.333")]:
    """Displayed width divided by displayed height: 1.778 is 16:9, 0.5625 a phone held upright.

    The customary bounds are 9/21 to 21/9 (Data-Juicer Sandbox, table 3).
    """
    return clip_shape.width_px / clip_shape.height_px
