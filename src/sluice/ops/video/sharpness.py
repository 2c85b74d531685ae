"""How sharp is a video?"""

from typing import Annotated, NamedTuple

from sluice.operator import Field, Span, measure
from sluice.ops.video.along import values


class Sharpness(NamedTuple):
    """A clip's sharpness."""

    min: Annotated[float, Field(unit="variance", ge=0, higher_is="sharper")]
    mean: Annotated[float, Field(unit="variance", ge=0, higher_is="sharper", bound=">= 50")]


@measure(version=1, cost="decode")
def video_sharpness(video_frame_sharpness: Span) -> Sharpness:
    """The variance of the Laplacian of the clip's frames, two a second: the least sharp one's, and the mean.

    Of the luma at native size, with the scale of `image_sharpness`: compressed video lies lower than photographs, and
    a black frame has 0. It falls as a picture is enlarged: compare only clips of like size. Declined with `no frames`
    for clips shorter than the grid.
    """
    sharpness = values(video_frame_sharpness, "video_frame_sharpness")
    return Sharpness(float(sharpness.min()), float(sharpness.mean()))
