"""Does a text fit its image?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from sluice.operator import Field, measure
from sluice.ops.image.clip import Clip as ImageClip
from sluice.ops.text.clip import Clip as TextClip


@measure(version=1, cost="header")
def image_text_similarity(
    image_clip: ImageClip, text_clip: TextClip
) -> Annotated[float, Field(unit="cosine", ge=-1, le=1, higher_is="better fitting", bound=">= 0.1")]:
    """The cosine of an image's and its text's embeddings by CLIP, SigLIP or another vision-text model.

    Hessel et al., "CLIPScore" (2021); LAION-400M was cut at 0.3 with ViT-B/32. Others give logits:
    CLIP's are 100 times this. The embeddings are those that `clip_embedding` and the scores on it use. Set the
    model for both by `with: {clip: {model: …}}`. Texts beyond the model's limit (77 tokens in CLIP) are cut.
    """
    cosine = float(np.dot(image_clip.astype(np.float64), text_clip.astype(np.float64)))
    return min(1.0, max(-1.0, cosine))  # rounding may leave it a hair outside
