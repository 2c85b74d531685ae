"""For how much of a video is text in a corner, as logos are?"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field as Setting

from sluice.operator import Field, measure
from sluice.ops.video.text_boxes import quads_of


@measure(version=1, cost="header", libraries=("numpy",))
def video_corner_text_ratio(
    video_text_boxes: str, *, corner: Annotated[float, Setting(gt=0, le=0.5)] = 0.1
) -> Annotated[float, Field(unit="share of frames", ge=0, le=1, higher_is="more text in corners")]:
    """Share of the frames of `video_text_boxes` with a box whose centre lies in one of the four corners.

    A corner is `corner` of the width by `corner` of the height, its edge included. 0 where there is no text.
    """
    return float(np.mean([_in_corner(quads.mean(axis=1), corner) for quads in quads_of(video_text_boxes)]))


def _in_corner(centres: np.ndarray, corner: float) -> bool:
    return bool((np.minimum(centres, 1 - centres) <= corner).all(axis=1).any())
