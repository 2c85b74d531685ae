"""What does a video show, as a vector?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from sluice.operator import Field, measure
from sluice.operator.frames import Frames, reduced
from sluice.operator.spec import ANY_SIZE
from sluice.ops.image.clip import Clip, Vector


@measure(version=1, cost="header", libraries=("numpy",))
def video_embedding(
    image_clip: Annotated[list[Clip | None], Frames(frames=8)],
) -> Annotated[Vector, Field(unit="unit vector", size=ANY_SIZE)]:
    """A clip's embedding: the direction of the mean of its frames' embeddings by CLIP, SigLIP or their like.

    The mean over frames is the baseline of CLIP4Clip (Luo et al. 2021, arXiv:2104.08860, "parameter-free"); its cosine
    says how alike two clips are in what they show, not in how things move. The settings say which frames (8, spread
    evenly, as Cosmos-Curate's embedders take). Frames go through the model that `clip_embedding` and the scores on it
    use; set it by `with: {clip: {model: google/siglip-base-patch16-224}}`.
    """
    return np.asarray(reduced(image_clip), np.float32)
