"""How much of a video's frames is written text?"""

from __future__ import annotations

from typing import Annotated

from sluice.operator import Field, measure
from sluice.operator.frames import Frames, reduced


@measure(version=1, cost="header", libraries=("numpy",))
def video_ocr_area_ratio(
    image_text_area_ratio: Annotated[list[float | None], Frames(frames=3)],
) -> Annotated[float, Field(unit="share", ge=0, le=1, higher_is="more text")]:
    """The mean `image_text_area_ratio` of three frames of a clip, its first, its middle and its last.

    As Data-Juicer's `video_ocr_area_ratio_filter`, which however adds areas up where boxes overlap and so may go beyond
    1; here the area of their union counts. Set the detector by `with: {text_boxes: {…}}`. With `fps: 2` it looks at the
    frames of `video_text_boxes`, so that one detection serves it and the operators on overlaid text.
    """
    return float(reduced(image_text_area_ratio))
