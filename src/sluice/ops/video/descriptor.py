"""Which videos show nearly the same, told without a model?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from sluice.operator import Field, measure
from sluice.operator.frames import Frames, reduced
from sluice.ops.image.descriptor import Vector


@measure(version=1, cost="header", libraries=("numpy",))
def video_descriptor(
    image_descriptor: Annotated[list[Vector | None], Frames(frames=8)],
) -> Annotated[Vector, Field(unit="unit vector", size=224)]:
    """A classic embedding of a clip, compared by cosine: the direction of the mean of its frames' `image_descriptor`.

    224 numbers of unit length that say where the clip is light, of which colour, and which way edges run, over the
    frames that the settings ask for (8, spread evenly, as Cosmos-Curate's embedders take); those without any detail
    are left out. It needs no weights. Copies of another size, rate or quality lie near each other; mirrored or much
    cropped ones do not. Declined with `no value` where no frame has any detail.
    """
    return np.asarray(reduced(image_descriptor), np.float32)
