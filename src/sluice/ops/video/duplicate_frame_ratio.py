"""How many frames of a video repeat the one before?"""

from typing import Annotated

from pydantic import Field as Setting

from sluice.operator import Field, Span, measure
from sluice.ops.video.along import changes
from sluice.ops.video.freeze_ratio import STILL_LEVELS


@measure(version=1, cost="decode")
def video_duplicate_frame_ratio(
    video_content: Span, *, max_difference: Annotated[float, Setting(ge=0, le=255)] = STILL_LEVELS
) -> Annotated[float, Field(unit="share of frames", ge=0, le=1, higher_is="more repeated", bound="<= 0.5")]:
    """Share of the clip's frames, the first left out, that show the same as the one before.

    The same is a difference of at most `max_difference` levels of 255 (means over 64 x 36 pixels, see
    `video_content`), by default that of FFmpeg's freezedetect (-60 dB). Film at 24 frames a second that was stored at
    30 gives 0.2. Declined with `one frame` where the clip has no two.
    """
    return float((changes(video_content, "difference") <= max_difference).mean())
