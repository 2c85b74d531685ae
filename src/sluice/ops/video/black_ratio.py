"""How much of a video is black?"""

from typing import Annotated

from pydantic import Field as Setting

from sluice.operator import Field, Span, measure
from sluice.ops.video.along import values


@measure(version=1, cost="decode", libraries=("numpy",))
def video_black_ratio(
    video_tones: Span, *, min_black_pixels: Annotated[float, Setting(ge=0, le=1)] = 0.98
) -> Annotated[float, Field(unit="share of frames", ge=0, le=1, higher_is="blacker", bound="<= 0.5")]:
    """Share of the clip's frames (two a second) that are black.

    A frame is black where at least `min_black_pixels` of its pixels have a luma up to 0.1 of white: the defaults of
    FFmpeg's blackdetect (`picture_black_ratio_th`, `pixel_black_th`). Declined with `no frames` for clips shorter than
    the grid.
    """
    return float((values(video_tones, "black") >= min_black_pixels).mean())
