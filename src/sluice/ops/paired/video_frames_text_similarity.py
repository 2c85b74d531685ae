"""Does a text fit the frames of its video?"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from sluice.operator import Field, measure
from sluice.operator.frames import Frames, reduced
from sluice.ops.image.clip import Clip as ImageClip
from sluice.ops.text.clip import Clip as TextClip


@measure(version=1, cost="header", libraries=("numpy",))
def video_frames_text_similarity(
    image_clip: Annotated[list[ImageClip | None], Frames(keyframes=True)],
    text_clip: TextClip,
    *,
    reduce: Literal["mean", "max", "min"] = "mean",
) -> Annotated[float, Field(unit="cosine", ge=-1, le=1, higher_is="better fitting", bound=">= 0.1")]:
    """The cosines of a clip's frames and its text by CLIP, SigLIP or another vision-text model, reduced to one.

    Of its key frames, and their mean (`reduce`), as in Data-Juicer's `video_frames_text_similarity_filter`. A clip
    without a key frame is judged by its first frame. The embeddings are those of `image_text_similarity`. Set the model
    for both by `with: {clip: {model: …}}`. Texts beyond the model's limit (77 tokens in CLIP) are cut.
    """
    text = text_clip.astype(np.float64)
    cosines = [None if frame is None else float(np.dot(frame, text)) for frame in image_clip]
    return min(1.0, max(-1.0, float(reduced(cosines, reduce))))  # rounding may leave it a hair outside
