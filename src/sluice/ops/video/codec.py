"""By which codec is a video compressed?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.video.info import ClipInfo


@measure(version=1, cost="header")
def video_codec(video_info: ClipInfo) -> Annotated[str, Field()]:
    """The codec of the source's pictures by FFmpeg's name (`h264`, `hevc`, `av1`, `vp9`, `mpeg4`, `mjpeg`, …)."""
    return video_info.source.codec
