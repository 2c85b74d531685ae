"""How wide are the black bars that frame a video?"""

from typing import Annotated, NamedTuple

from sluice.errors import Declined
from sluice.operator import Field, Span, measure
from sluice.ops.video.bars import constant


class Bar(NamedTuple):
    """A clip's bars."""

    top_px: Annotated[int, Field(unit="px", ge=0, higher_is="higher bar")]
    right_px: Annotated[int, Field(unit="px", ge=0, higher_is="wider bar")]
    bottom_px: Annotated[int, Field(unit="px", ge=0, higher_is="higher bar")]
    left_px: Annotated[int, Field(unit="px", ge=0, higher_is="wider bar")]


@measure(version=1, cost="decode")
def video_bar(video_bars: Span) -> Bar:
    """Height of the bars above and below and width of those beside the picture, in pixels as displayed; 0 without.

    Bars are what is dark all along the clip: of the frames two a second that are not dark throughout, the tenth
    percentile of what `video_bars` finds at each edge. Of the source's whole picture, crops not looked at;
    `video_crop_bars` cuts them off. Declined with `all dark` where every frame is, with `no frames` for clips shorter
    than the grid.
    """
    if not len(video_bars):
        raise Declined("no frames", f"{video_bars.duration_s:.3f} s hold no frame that was measured")
    width, height = video_bars.info.width_px, video_bars.info.height_px
    found = [
        constant(video_bars, side, length)
        for side, length in (("top", height), ("right", width), ("bottom", height), ("left", width))
    ]
    known = [bar for bar in found if bar is not None]
    if len(known) < len(found):
        raise Declined("all dark", "no frame shows where the picture is")
    return Bar(*known)
