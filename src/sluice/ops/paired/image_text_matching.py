"""Does a text describe its image, to a model that sees both at once?"""

from __future__ import annotations

from typing import Annotated, Any

from sluice.errors import Declined
from sluice.model.device import Device, DtypeName
from sluice.model.files import Weights, find
from sluice.model.runner import BatchSize, Load, Runner
from sluice.model.tokens import Tokens, answered
from sluice.operator import Field, measure
from sluice.ops.image.model_pixels import ModelPixels
from sluice.ops.text.content import Content

Probability = Annotated[
    float | None, Field(unit="probability", ge=0, le=1, higher_is="better matching", bound=">= 0.003")
]


@measure(version=1, cost="model", libraries=("torch", "transformers", "tokenizers"))
class image_text_matching:  # noqa: N801 - an operator's name is its class's
    """BLIP's probability that a text belongs to an image: softmax of its image-text matching head.

    Li et al., "BLIP" (2022). It reads the text while looking, so it is finer than a cosine of two embeddings and
    costs a pass for every pair. `model` is a path or name; texts are cut at its limit (512 tokens); `dtype` is
    the precision (auto: float32 on a CPU, bfloat16 on a GPU), `batch_size` how many pairs go through together,
    `device` where. Declined with `no text` for blank texts.
    """

    def __init__(
        self,
        *,
        model: Weights = "Salesforce/blip-itm-base-coco",
        device: Device = "auto",
        dtype: DtypeName = "auto",
        batch_size: BatchSize = None,
    ) -> None:
        self._model = model
        self._runs_on: dict[str, Any] = {"device": device, "dtype": dtype, "batch_size": batch_size}

    def open(self) -> None:
        """Load the model and its tokenizer."""
        folder = str(find(self._model))
        self._tokens = Tokens(folder)
        self._runner = Runner(Load("sluice.model.blip:matching", folder), **self._runs_on).open()

    def __call__(
        self, image_model_pixels: list[ModelPixels], text_content: list[Content]
    ) -> list[Probability]:
        """One probability a pair."""
        pairs = zip(image_model_pixels, map(self._tokens, text_content), strict=True)
        rows = [
            row if isinstance(row, Declined) else {**row, "pixel_values": pixels} for pixels, row in pairs
        ]
        found: list[Any] = [
            value if isinstance(value, Declined) else float(value[0])
            for value in answered(rows, self._runner)
        ]
        return found
