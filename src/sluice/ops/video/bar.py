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
    percentile of what `video_bars` finds at each edge. `video_crop_bars` cuts them off, after which there are none.
    Declined with `all dark` where every frame is, with `no frames` for clips shorter than the grid.
    """
    return bar_of(video_bars, video_bars.info.width_px, video_bars.info.height_px)


def bar_of(bars: Span, width: int, height: int) -> Bar:
    """The bars of a clip whose pictures are so large. Declined as `video_bar`."""
    if not len(bars):
        raise Declined("no frames", f"{bars.duration_s:.3f} s hold no frame that was measured")
    found = [
        constant(bars, side, length)
        for side, length in (("top", height), ("right", width), ("bottom", height), ("left", width))
    ]
    known = [bar for bar in found if bar is not None]
    if len(known) < len(found):
        raise Declined("all dark", "no frame shows where the picture is")
    return Bar(*known)
