"""The picture as a model wants to see it, shared by all operators that show it to the same model."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sluice.model.files import Weights, find
from sluice.model.preprocess import preprocess
from sluice.operator import feature
from sluice.operator.spec import Inherited
from sluice.ops.image.pixels import LIBRARIES, Rgb

ModelPixels = Annotated[
    NDArray[np.generic], "[3, H, W], uint8 before normalisation; float32 from odd processors"
]


@feature(scope="image", version=1, cost="decode", libraries=(*LIBRARIES, "transformers"))
class model_pixels:  # noqa: N801 - an operator's name is its class's
    """The picture resized and cropped as the `model`'s own preprocessor file says, by Pillow.

    Equal to what transformers' PIL image processor makes, up to the point where 8-bit values become numbers:
    that is done beside the model.
    """

    def __init__(self, *, model: Annotated[Weights, Inherited()]) -> None:
        self._model = model

    def open(self) -> None:
        """Read the preprocessor's file."""
        self._preprocess = preprocess(str(find(self._model)))

    def __call__(self, rgb: Rgb) -> ModelPixels:
        """What the model is shown of one picture."""
        return self._preprocess(rgb)
