"""How likely is an image not safe for work?"""

from __future__ import annotations

from typing import Annotated, Literal

from sluice.model.classifier import label_index
from sluice.model.files import Passed, find
from sluice.operator import Field, measure
from sluice.operator.spec import When
from sluice.ops.image.class_probabilities import ClassProbabilities
from sluice.ops.image.clip_nsfw import ClipNsfw


@measure(version=1, cost="header")
class image_nsfw:  # noqa: N801 - an operator's name is its class's
    """The probability that a picture is not safe for work (nudity, pornography), by one of two backends.

    `backend: clip-mlp`: LAION's CLIP-based NSFW detector, a small `head` over the CLIP ViT-L/14 embedding that
    other operators share; a path or name of the PyTorch conversion's tensors (`norm.mean`, `norm.variance`,
    `linear_1.weight` to `linear_4.bias`) as .pth, .safetensors or .npz. `backend: classifier`: the softmax
    probability of the class `label` by any image classifier of transformers, the `model` (as in Data-Juicer's
    `image_nsfw_filter`). The two differ in scale and in what they hold for unsafe.
    """

    def __init__(
        self,
        *,
        backend: Literal["clip-mlp", "classifier"] = "clip-mlp",
        head: Passed = "laion-nsfw",
        model: Passed = "Falconsai/nsfw_image_detection",
        label: int | str = "nsfw",
    ) -> None:
        self._backend, self._model, self._label = backend, model, label

    def open(self) -> None:
        """Find the class among the classifier's labels."""
        if self._backend == "classifier":
            self._index = label_index(str(find(self._model)), self._label)

    def __call__(
        self,
        clip_nsfw: Annotated[ClipNsfw | None, When("backend", "clip-mlp")],
        class_probabilities: Annotated[ClassProbabilities | None, When("backend", "classifier")],
    ) -> Annotated[float, Field(unit="probability", ge=0, le=1, higher_is="less safe", bound="<= 0.5")]:
        """The probability for one picture."""
        if class_probabilities is not None:
            return float(class_probabilities[self._index])
        assert clip_nsfw is not None  # one of the two backends is always bound
        return clip_nsfw
