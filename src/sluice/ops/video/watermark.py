"""How likely is there a watermark in a video?"""

from __future__ import annotations

from typing import Annotated, Literal

from sluice.operator import Field, measure
from sluice.operator.frames import Frames, reduced


@measure(version=1, cost="header", libraries=("numpy",))
def video_watermark(
    image_watermark: Annotated[list[float | None], Frames(keyframes=True)],
    *,
    reduce: Literal["mean", "max", "min"] = "mean",
) -> Annotated[float, Field(unit="probability", ge=0, le=1, higher_is="more likely", bound="<= 0.8")]:
    """The probability of a watermark in a clip's frames, by `image_watermark`, reduced to one.

    Of its key frames, and their mean (`reduce`), as in Data-Juicer's `video_watermark_filter`. A clip without a key
    frame is judged by its first frame. Set the model by `with: {image_watermark: {model: …, label: …}}`.
    """
    return float(reduced(image_watermark, reduce))
