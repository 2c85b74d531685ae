"""In which pixel format is a video stored?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.video.info import ClipInfo


@measure(version=1, cost="header")
def video_pix_fmt(video_info: ClipInfo) -> Annotated[str, Field()]:
    """The pixel format of the source by FFmpeg's name: chroma and depth, as `yuv420p`, `yuv422p10le`, `gray`."""
    return video_info.source.pix_fmt
