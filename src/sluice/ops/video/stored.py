"""How large are a video's pictures as they are stored?"""

from typing import Annotated, NamedTuple

from sluice.operator import Field, measure
from sluice.ops.video.info import ClipInfo


class Stored(NamedTuple):
    """The coded picture."""

    width_px: Annotated[int, Field(unit="px", ge=1, higher_is="wider")]
    height_px: Annotated[int, Field(unit="px", ge=1, higher_is="higher")]
    aspect_ratio: Annotated[float, Field(unit="width/height", ge=0, higher_is="wider")]


@measure(version=1, cost="header")
def video_stored(video_info: ClipInfo) -> Stored:
    """The size of the source's coded picture in pixels, and its width divided by its height.

    Before the display matrix turns it, its pixels are made square and a clip's crop is cut out; `video_width_px`,
    `video_height_px` and `video_aspect_ratio` are what is shown.
    """
    width, height = video_info.source.stored_width_px, video_info.source.stored_height_px
    return Stored(width, height, width / height)
