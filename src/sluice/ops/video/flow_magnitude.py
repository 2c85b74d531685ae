"""How much moves in a video?"""

from typing import Annotated

from pydantic import Field as Setting

from sluice.operator import Field, Span, measure
from sluice.ops.video.along import changes


@measure(version=1, cost="decode")
def video_flow_magnitude(
    video_flow: Span,
    *,
    fps: Annotated[float, Setting(gt=0)] = 2.0,
    side_px: Annotated[int | None, Setting(ge=16)] = 128,
) -> Annotated[float, Field(unit="share of the diagonal", ge=0, higher_is="more motion", bound=">= 0.001")]:
    """Mean magnitude of the optical flow between the clip's frames, `fps` a second, in shares of the diagonal.

    Farneback's flow on frames of a shorter side of `side_px` pixels, a hundredth of the cost of full size; see
    `video_flow`. 0 for a still; a pan by the picture's width within half a second would be about 0.87 of 16:9, but
    motion by more than some tenth of the picture from one frame to the next is underestimated. Works for every codec,
    unlike `video_motion_vector`. Declined with `one frame` where the clip has no two frames of the grid.
    """
    return float(changes(video_flow, "relative").mean())
