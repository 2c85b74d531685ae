"""How long is a video?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.video.shape import ClipShape


@measure(version=1, cost="header")
def video_duration_s(
    clip_shape: ClipShape,
) -> Annotated[float, Field(unit="s", ge=0, higher_is="longer", bound="2..60")]:
    """Seconds from the beginning of the first frame to the end of the last; of a clip, of its span.

    By the times of packets, and so true for every container: what a header estimates (MPEG-TS) or leaves out
    (Matroska) is read from the packets. Sound that goes on after the last frame does not count.
    """
    return clip_shape.duration_s
