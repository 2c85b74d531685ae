"""What an image classifier says of a picture, shared by all that ask for one of its classes."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from sluice.model.device import Device, DtypeName
from sluice.model.files import Weights, find
from sluice.model.runner import BatchSize, Load, Runner
from sluice.operator import feature
from sluice.operator.spec import Inherited
from sluice.ops.image.model_pixels import ModelPixels

ClassProbabilities = Annotated[NDArray[np.float32], "softmax over the model's labels, in their order"]


@feature(scope="image", version=1, cost="model", libraries=("torch", "transformers"), batched=True)
class class_probabilities:  # noqa: N801 - an operator's name is its class's
    """The softmax probabilities of all classes by an image classifier of transformers.

    `model` is a path or name; `device` says where it runs, `dtype` in which precision (auto: float32 on a CPU,
    bfloat16 on a GPU), `batch_size` how many pictures go through together.
    """

    def __init__(
        self,
        *,
        model: Annotated[Weights, Inherited()],
        device: Device = "auto",
        dtype: DtypeName = "auto",
        batch_size: BatchSize = None,
    ) -> None:
        self._model = model
        self._runs_on: dict[str, Any] = {"device": device, "dtype": dtype, "batch_size": batch_size}

    def open(self) -> None:
        """Load the classifier."""
        load = Load("sluice.model.classifier:probabilities", str(find(self._model)))
        self._runner = Runner(load, **self._runs_on).open()

    def __call__(self, model_pixels: list[ModelPixels]) -> list[ClassProbabilities]:
        """One vector of probabilities a picture."""
        return self._runner([{"pixel_values": pixels} for pixels in model_pixels])
