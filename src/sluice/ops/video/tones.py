"""How light and how dark is a video as it goes on?"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field as Setting

from sluice.operator import Field, track
from sluice.ops.image.exposure import image_exposure
from sluice.ops.image.overexposed_ratio import image_overexposed_ratio
from sluice.ops.image.underexposed_ratio import image_underexposed_ratio

BLACK_LUMA = 0.10 * 255
"""A pixel is black up to here (`pixel_black_th` of FFmpeg's blackdetect)."""


class Tones(NamedTuple):
    """One frame."""

    mean: Annotated[float, Field(unit="luma", ge=0, le=255, higher_is="brighter")]
    black: Annotated[float, Field(unit="share", ge=0, le=1, higher_is="blacker")]
    under: Annotated[float, Field(unit="share", ge=0, le=1, higher_is="darker")]
    over: Annotated[float, Field(unit="share", ge=0, le=1, higher_is="more burnt out")]


@track(version=1, sees="grid", libraries=("opencv-python-headless", "numpy"))
class video_tones:  # noqa: N801 - an operator's name is its class's
    """The tones of `fps` frames a second, from the luma of all their pixels, 0 (black) to 255 (white).

    `mean`: the mean luma, as `image_exposure`. `black`: the share of pixels up to a tenth of white, which FFmpeg's
    blackdetect calls black. `under` and `over`: the shares that `image_underexposed_ratio` (5 or less) and
    `image_overexposed_ratio` (250 or more) count.
    """

    def __init__(self, *, fps: Annotated[float, Setting(gt=0)] = 2.0) -> None: ...

    def start(self, info: Any) -> None:
        """A new source: no frame depends on another."""

    def __call__(self, frame: Any) -> Tones:
        """One row for each frame of the grid."""
        luma = frame.luma
        black = float(np.count_nonzero(luma <= BLACK_LUMA)) / luma.size
        return Tones(
            image_exposure(luma), black, image_underexposed_ratio(luma), image_overexposed_ratio(luma)
        )
