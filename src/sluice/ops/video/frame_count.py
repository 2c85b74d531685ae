"""How many frames has a video?"""

from typing import Annotated

from sluice.errors import Declined
from sluice.operator import Field, measure
from sluice.ops.video.shape import ClipShape


@measure(version=1, cost="header")
def video_frame_count(
    clip_shape: ClipShape,
) -> Annotated[int, Field(unit="frames", ge=1, higher_is="more frames", bound=">= 48")]:
    """Frames that are shown, counted by packets without decoding.

    Declined with `frame count unknown` for a part of a source, which only decoding would tell: clips of
    `video_split_shots` have it in their field `clip_frames`.
    """
    if clip_shape.frame_count is None:
        raise Declined("frame count unknown", "only decoding would tell that of a part of a source")
    return clip_shape.frame_count
