"""Does a video's compression show as blocks?"""

from typing import Annotated

from sluice.operator import Field, Span, measure
from sluice.ops.video.along import values


@measure(version=1, cost="decode")
def video_blockiness(
    video_frame_blockiness: Span,
) -> Annotated[float, Field(unit="ratio", ge=0, higher_is="blockier", bound="<= 1.5")]:
    """Mean of `image_blockiness` over the clip's frames, two a second: steps in luma across edges of 8 x 8 blocks.

    About 1 where no blocks show. It finds what MPEG-1, MPEG-2, MPEG-4 and Motion JPEG leave; H.264 and later codecs
    smooth the edges of their blocks, and video that was scaled afterwards has its edges elsewhere. Declined with `no
    frames` for clips shorter than the grid and pictures below 16 x 16 pixels.
    """
    return float(values(video_frame_blockiness, "video_frame_blockiness").mean())
