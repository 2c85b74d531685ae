"""How likely is a video not safe for work?"""

from __future__ import annotations

from typing import Annotated, Literal

from sluice.operator import Field, measure
from sluice.operator.frames import Frames, reduced


@measure(version=1, cost="header", libraries=("numpy",))
def video_nsfw(
    image_nsfw: Annotated[list[float | None], Frames(keyframes=True)],
    *,
    reduce: Literal["mean", "max", "min"] = "mean",
) -> Annotated[float, Field(unit="probability", ge=0, le=1, higher_is="less safe", bound="<= 0.5")]:
    """The probability that a clip's frames are not safe for work, by `image_nsfw`, reduced to one.

    Of its key frames, and their mean, as in Data-Juicer's `video_nsfw_filter`; `reduce: max` finds a clip by its worst
    frame. A clip without a key frame is judged by its first frame. Set backend and models by
    `with: {image_nsfw: {backend: classifier, …}}`.
    """
    return float(reduced(image_nsfw, reduce))
