"""Operators as someone outside would write them, on models of TensorFlow Lite; a plug-in for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sluice.model.files import Weights, find
from sluice.operator import Field, measure
from sluice.ops.image.pixels import Rgb

LIBRARIES = ("ai-edge-litert", "opencv-python-headless")


class _Network:
    """A quantised model of one picture [1, 224, 224, 3], 8 bit, on one thread."""

    def __init__(self, model: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter: Any = Interpreter(str(find(model)), num_threads=1)
        self._interpreter.allocate_tensors()

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        (given,), (made,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._interpreter.set_tensor(
            given["index"], cv2.resize(rgb, (224, 224), interpolation=cv2.INTER_AREA)[None]
        )
        self._interpreter.invoke()
        scale, zero = made["quantization"]
        values = self._interpreter.get_tensor(made["index"]).ravel().astype(np.float32)
        return np.asarray((values - zero) * scale, dtype=np.float32)


@measure(version=1, cost="model", libraries=LIBRARIES)
class image_mobilenet:  # noqa: N801 - an operator's name is its class's
    """The last features of MobileNet v1, scaled to unit length; `model` is its embedding extractor."""

    def __init__(self, *, model: Weights) -> None:
        self.model = model

    def open(self) -> None:
        """Load the model."""
        self._network = _Network(self.model)

    def __call__(self, rgb: Rgb) -> Annotated[NDArray[np.float32], Field(unit="unit vector", size=1024)]:
        """The vector of one picture."""
        vector = self._network(rgb)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


@measure(version=1, cost="model", libraries=LIBRARIES)
class image_imagenet_label:  # noqa: N801 - see above
    """What MobileNet v2 takes a picture for; `model` is the classifier, `labels` the file of its labels."""

    def __init__(self, *, model: Weights, labels: str) -> None:
        self.model, self.labels = model, labels

    def open(self) -> None:
        """Load the model."""
        self._network = _Network(self.model)
        self._names = [line.split(maxsplit=1)[1] for line in Path(self.labels).read_text().splitlines()]

    def __call__(self, rgb: Rgb) -> Annotated[str, Field()]:
        """The label of one picture."""
        return self._names[int(self._network(rgb).argmax())]
