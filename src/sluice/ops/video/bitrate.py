"""How many bits a second does a video spend on its pictures?"""

from typing import Annotated

from sluice.errors import Declined
from sluice.operator import Field, measure
from sluice.ops.video.info import ClipInfo


@measure(version=1, cost="header")
def video_bitrate(
    video_info: ClipInfo,
) -> Annotated[int, Field(unit="bit/s", ge=0, higher_is="less compressed", bound=">= 100000")]:
    """Average bits a second of the source's video stream, without its sound; a clip has its source's.

    From the index of an MP4, else from the sizes of its packets. Declined with `bitrate unknown` where neither tells.
    """
    bitrate = video_info.source.bitrate_bps
    if bitrate is None:
        raise Declined("bitrate unknown", "its container does not tell")
    return bitrate
