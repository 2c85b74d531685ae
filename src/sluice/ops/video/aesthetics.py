"""How beautiful do people find a video?"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from sluice.operator import Field, measure
from sluice.operator.frames import Frames, reduced


class Aesthetics(NamedTuple):
    """Of a clip's frames."""

    min: Annotated[
        float, Field(unit="of about 10", higher_is="more beautiful", bound=">= 3.5", typical=(1, 10))
    ]
    mean: Annotated[float, Field(unit="of about 10", higher_is="more beautiful", typical=(1, 10))]


@measure(version=1, cost="header", libraries=("numpy",))
def video_aesthetics(image_aesthetics: Annotated[list[float | None], Frames(fps=1)]) -> Aesthetics:
    """The least and the mean `image_aesthetics` of a clip's frames, about 1 (worst) to 10 (best).

    One frame a second, as Cosmos-Curate takes, which keeps clips with a least score of 3.5 or more; `frames: 3` are
    those of Data-Juicer's `video_aesthetics_filter`, which divides by 10 (its 0.4 is a mean of 4 here). Set head and
    model by `with: {image_aesthetics: {head: …}, clip: {model: …}}`.
    """
    return Aesthetics(reduced(image_aesthetics, "min"), reduced(image_aesthetics, "mean"))
