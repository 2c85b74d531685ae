"""How likely is there a watermark in an image?"""

from __future__ import annotations

from typing import Annotated

from sluice.model.classifier import label_index
from sluice.model.files import Weights, find
from sluice.operator import Field, measure
from sluice.ops.image.class_probabilities import ClassProbabilities


@measure(version=1, cost="header")
class image_watermark:  # noqa: N801 - an operator's name is its class's
    """The probability of a watermark by an image classifier of transformers: softmax of one of its classes.

    `model` is a path or name, `label` the class, by its name in the model's configuration or its number from 0;
    class 1 by default, as in Data-Juicer's `image_watermark_filter`.
    """

    def __init__(self, *, model: Weights = "amrul-hzz/watermark_detector", label: int | str = 1) -> None:
        self._model, self._label = model, label

    def open(self) -> None:
        """Find the class among the model's labels."""
        self._index = label_index(str(find(self._model)), self._label)

    def __call__(
        self, class_probabilities: ClassProbabilities
    ) -> Annotated[float, Field(unit="probability", ge=0, le=1, higher_is="more likely", bound="<= 0.8")]:
        """The probability for one picture."""
        return float(class_probabilities[self._index])
