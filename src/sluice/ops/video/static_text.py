"""Does text stay where it is in a video, as subtitles and logos do?"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting

from sluice.operator import Field, measure
from sluice.ops.video.text_boxes import quads_of


@measure(version=1, cost="header", libraries=("numpy",))
def video_static_text(
    video_text_boxes: str,
    *,
    min_iou: Annotated[float, Setting(gt=0, le=1)] = 0.9,
    min_sightings: Annotated[int, Setting(ge=2)] = 3,
) -> Annotated[bool, Field(true_means="some text stays in its place")]:
    """Whether a box of text is seen at the same place in `min_sightings` of the frames of `video_text_boxes` or more.

    The same place is an intersection over union of `min_iou` or more with that box itself, by their upright bounding
    rectangles; so text that creeps is not static. Frames between may miss it. Signs filmed by a camera that stands
    still are static too.
    """
    frames = quads_of(video_text_boxes)
    number = np.repeat(np.arange(len(frames)), [len(quads) for quads in frames])
    if len(number) == 0:
        return False
    quads = np.concatenate(frames)
    same = _overlap(quads.min(axis=1), quads.max(axis=1)) >= min_iou
    return any(len(np.unique(number[row])) >= min_sightings for row in same)


def _overlap(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n, n] intersection over union of rectangles from `low` to `high` [n, 2]; 0 of empty ones."""
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    shared = sides.clip(0).prod(axis=2)
    area = (high - low).prod(axis=1)
    whole = area[:, None] + area - shared
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0))
