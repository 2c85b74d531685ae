"""How much of a video is covered by text?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from sluice.operator import Field, measure
from sluice.ops.image.text_area_ratio import covered
from sluice.ops.video.text_boxes import quads_of


@measure(version=1, cost="header", libraries=("numpy",))
def video_overlay_text_ratio(
    video_text_boxes: str,
) -> Annotated[float, Field(unit="share", ge=0, le=1, higher_is="more text")]:
    """Area of the union of all boxes of text, divided by the frame's; the mean of the frames of `video_text_boxes`.

    0 where there is no text. Detectors do not tell a subtitle from a sign that was filmed: `video_static_text` and
    `video_corner_text_ratio` say whether it stays and where it is. `video_ocr_area_ratio` is the same of three frames.
    """
    return float(np.mean([covered(quads) for quads in quads_of(video_text_boxes)]))
