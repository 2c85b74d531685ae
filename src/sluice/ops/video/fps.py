"""How many frames a second has a video?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.video.info import ClipInfo


@measure(version=1, cost="header")
def video_fps(
    video_info: ClipInfo,
) -> Annotated[float, Field(unit="frames/s", ge=0, higher_is="more frames", bound="10..120")]:
    """Frames a second: those of the source divided by its duration, whatever rate its header names.

    A clip has its source's. Of a variable rate it is the average.
    """
    return video_info.fps
