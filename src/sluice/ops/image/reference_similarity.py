"""How near is an image to a set of images one wants more of?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np

from sluice.codec import decode
from sluice.errors import Declined, PlanError, SampleError
from sluice.model.clip import DEFAULT
from sluice.model.files import Weights, digest
from sluice.model.reference import Against, Reference, Vectors, reference
from sluice.operator import Field, measure
from sluice.ops.image.clip import Clip, clip
from sluice.ops.image.model_pixels import ModelPixels, model_pixels

_TOGETHER = 64
"""Pictures of a folder that are decoded before they go through the model."""


@measure(version=1, cost="model")
class image_reference_similarity:  # noqa: N801 - an operator's name is its class's
    """The cosine of a picture's embedding to a reference set, by CLIP, SigLIP or another vision-text model.

    `reference` is the path of embeddings by the same model (.npy, .npz or .parquet: rows of numbers, such as a
    column of `clip_embedding` that was written beside shards), or of a folder of pictures, which are embedded
    once and remembered beside the models. `against: nearest` gives the cosine to the nearest of them, `mean` to
    the direction of their mean, which says how typical a picture is of the set as a whole. DataComp (Gadre et
    al. 2023) picks by nearness to ImageNet's pictures in this space. `model` is the model's path or name; it is
    set here, not by `with`, so that a folder is embedded with the same. What a cosine means depends on model
    and set: look at the histogram before a bound is chosen.
    """

    def __init__(
        self, *, reference: Reference, against: Against = "nearest", model: Weights = DEFAULT
    ) -> None:
        self._path, self._against, self._model = reference, against, model

    def open(self) -> None:
        """Read the reference set, or embed its pictures."""
        self._set = reference(self._path, self._against, self._embedded, digest(self._model))

    def __call__(
        self, clip: Clip
    ) -> Annotated[float, Field(unit="cosine", ge=-1, le=1, higher_is="nearer to the reference")]:
        """The cosine of one picture."""
        return self._set.cosine(clip, self._against)

    def _embedded(self, files: list[Path]) -> Vectors:
        model, shown = clip(model=self._model), model_pixels(model=self._model)
        model.open()
        shown.open()
        found: list[Clip] = []
        for start in range(0, len(files), _TOGETHER):
            some = files[start : start + _TOGETHER]
            vectors = model([_pixels(shown, file) for file in some])
            for file, vector in zip(some, vectors, strict=True):
                if isinstance(vector, Declined):
                    raise _unusable(file, vector)
                found.append(vector)
        return np.array(found, dtype=np.float32)


def _pixels(shown: model_pixels, file: Path) -> ModelPixels:
    try:
        return shown(decode(file.read_bytes()))
    except SampleError as error:
        raise _unusable(file, error) from error


def _unusable(file: Path, error: SampleError) -> PlanError:
    what = f"a picture of the reference cannot be used: {error.reason}"
    return PlanError(what, where=str(file), fix="take it out of the folder")
