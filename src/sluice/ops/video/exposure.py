"""How bright is a video?"""

from typing import Annotated, NamedTuple

from sluice.operator import Field, Span, measure
from sluice.ops.video.along import values


class Exposure(NamedTuple):
    """A clip's exposure."""

    mean: Annotated[float, Field(unit="luma", ge=0, le=255, higher_is="brighter", bound="20..235")]
    min: Annotated[float, Field(unit="luma", ge=0, le=255, higher_is="brighter")]
    max: Annotated[float, Field(unit="luma", ge=0, le=255, higher_is="brighter")]
    under_ratio: Annotated[float, Field(unit="share", ge=0, le=1, higher_is="darker", bound="<= 0.9")]
    over_ratio: Annotated[float, Field(unit="share", ge=0, le=1, higher_is="more burnt out", bound="<= 0.9")]


@measure(version=1, cost="decode")
def video_exposure(video_tones: Span) -> Exposure:
    """Mean luma of the clip's frames, two a second: their mean, the darkest frame's and the brightest one's.

    0 is black and 255 white (`image_exposure`). `video_exposure_under_ratio` and `…_over_ratio` are the mean shares of
    pixels that are too dark to see (5 or less) and burnt out (250 or more). Declined with `no frames` for clips
    shorter than the grid.
    """
    mean = values(video_tones, "mean")
    under, over = values(video_tones, "under"), values(video_tones, "over")
    return Exposure(
        float(mean.mean()), float(mean.min()), float(mean.max()), float(under.mean()), float(over.mean())
    )
