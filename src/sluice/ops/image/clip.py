"""What does an image show, as a vector?"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from sluice.errors import Declined
from sluice.model.clip import DEFAULT, unit
from sluice.model.device import Device, DtypeName
from sluice.model.files import Weights, find
from sluice.model.runner import BatchSize, Load, Runner
from sluice.operator import Field, feature, measure
from sluice.operator.spec import ANY_SIZE, Inherited
from sluice.ops.image.model_pixels import ModelPixels

Vector = NDArray[np.float32]
Clip = Annotated[Vector, "embedding of unit length, as the model pools and projects it"]


@feature(scope="image", version=1, cost="model", libraries=("torch", "transformers"), batched=True)
class clip:  # noqa: N801 - an operator's name is its class's
    """The picture's embedding by a vision-text model of transformers (CLIP, SigLIP and kin), at length 1.

    `model` is a path or name; `device` says where it runs, `dtype` in which precision (auto: float32 on a CPU,
    bfloat16 on a GPU), `batch_size` how many pictures go through together (`auto`: measured on a GPU),
    `compile` whether torch.compile translates the model first. Declined with `not a number` where the model
    gives none.
    """

    def __init__(
        self,
        *,
        model: Annotated[Weights, Inherited()] = DEFAULT,
        device: Device = "auto",
        dtype: DtypeName = "auto",
        batch_size: BatchSize = None,
        compile: bool = False,
    ) -> None:
        self._model = model
        self._runs_on: dict[str, Any] = {
            "device": device,
            "dtype": dtype,
            "batch_size": batch_size,
            "compile": compile,
        }

    def open(self) -> None:
        """Load the model's image tower."""
        load = Load("sluice.model.clip:image_tower", str(find(self._model)))
        self._runner = Runner(load, **self._runs_on).open()

    def __call__(self, model_pixels: list[ModelPixels]) -> list[Clip | Declined]:
        """One embedding a picture."""
        found = self._runner([{"pixel_values": pixels} for pixels in model_pixels])
        return [unit(vector) for vector in found]


@measure(version=1, cost="header", scope="image")
def clip_embedding(clip: Clip) -> Annotated[Vector, Field(unit="unit vector", size=ANY_SIZE)]:
    """The embedding of a picture by CLIP, SigLIP or another vision-text model, of length 1, to be stored.

    Radford et al., "Learning transferable visual models from natural language supervision" (2021); its cosine
    says how alike two pictures are in what they show. The length is the model's (768 for the default, CLIP
    ViT-L/14). Other operators on the same model share the pass. Set the model by
    `with: {clip: {model: google/siglip-base-patch16-224}}`.
    """
    return clip
