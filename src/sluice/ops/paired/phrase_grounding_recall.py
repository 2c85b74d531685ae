"""How many of the things that a text names can be found in its image?"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from sluice.errors import Declined
from sluice.model.device import Device, DtypeName
from sluice.model.files import Weights, find
from sluice.model.runner import BatchSize, Load, Row, Runner
from sluice.model.tokens import Tokens
from sluice.operator import Field, measure
from sluice.ops.image.model_pixels import ModelPixels
from sluice.ops.text.noun_phrases import NounPhrases

Recall = Annotated[
    float | None, Field(unit="share of phrases", ge=0, le=1, higher_is="more found", bound=">= 0.1")
]
Array = NDArray[np.float64]

_GREATEST_AREA, _GREATEST_IOU = 0.95, 0.5
_MOST_PHRASES, _PHRASES_STEP = 96, 8


@measure(version=1, cost="model", libraries=("torch", "transformers", "tokenizers"))
class phrase_grounding_recall:  # noqa: N801 - an operator's name is its class's
    """The share of a text's noun phrases that OWL-ViT (Minderer et al. 2022) finds in the image.

    Of N phrases, each box of the detector is given to its likeliest one; the N boxes with the highest scores
    are visited from the highest on. A box is a hit unless its phrase has one already, it covers more than 0.95
    of the picture, or it overlaps a hit with an IoU above 0.5. The value is hits / N, as in Data-Juicer's
    `phrase_grounding_recall_filter`, which cites GLIP; there a text without phrases has 1, here it is declined
    with `no phrases`. Only the first 96 phrases are looked for.

    `model` is a path or name; `dtype` the precision (auto: float32 on a CPU, bfloat16 on a GPU), `batch_size`
    how many pairs go through together, `device` where. The phrases come from a spaCy pipeline:
    `with: {noun_phrases: {pipeline: …}}`.
    """

    def __init__(
        self,
        *,
        model: Weights = "google/owlvit-base-patch32",
        device: Device = "auto",
        dtype: DtypeName = "auto",
        batch_size: BatchSize = None,
    ) -> None:
        self._model = model
        self._runs_on: dict[str, Any] = {"device": device, "dtype": dtype, "batch_size": batch_size}

    def open(self) -> None:
        """Load the detector and its tokenizer."""
        folder = str(find(self._model))
        self._tokens = Tokens(folder)
        self._runner = Runner(Load("sluice.model.owlvit:boxes", folder), **self._runs_on).open()

    def __call__(
        self, image_model_pixels: list[ModelPixels], text_noun_phrases: list[NounPhrases]
    ) -> list[Recall]:
        """One recall a pair."""
        pairs = zip(image_model_pixels, text_noun_phrases, strict=True)
        found = self._runner([{"pixel_values": pixels, **self._queries(names)} for pixels, names in pairs])
        recalls: list[Any] = [
            _recall(boxes[:, :4], boxes[:, 4:][:, : min(len(names), _MOST_PHRASES)])
            for boxes, names in zip(found, text_noun_phrases, strict=True)
        ]
        return recalls

    def _queries(self, names: NounPhrases) -> Row:
        """Token ids of the phrases, filled up to a multiple of 8 with rows of zeros, which OWL-ViT leaves out."""
        table = self._tokens.table(names[:_MOST_PHRASES])
        missing = -len(table["input_ids"]) % _PHRASES_STEP
        filled = {"input_ids": 0, "attention_mask": 1}
        return {
            name: np.pad(table[name], ((0, missing), (0, 0)), constant_values=filler)
            for name, filler in filled.items()
        }


def _recall(boxes: NDArray[np.float32], logits: NDArray[np.float32]) -> float | Declined:
    """From boxes [n, 4] (centre, width, height) and logits [n, phrases]."""
    if not (np.isfinite(boxes).all() and np.isfinite(logits).all()):
        return Declined("not a number", "the model gave boxes that are not finite")
    count = int(logits.shape[1])
    best, score = logits.argmax(axis=1), logits.max(axis=1)
    hits: dict[int, Array] = {}
    for k in np.argsort(-score, kind="stable")[:count]:
        box = _corners(boxes[k].astype(np.float64))
        if best[k] in hits or _area(box) > _GREATEST_AREA:
            continue
        if all(_iou(box, other) <= _GREATEST_IOU for other in hits.values()):
            hits[best[k]] = box
    return len(hits) / count


def _corners(box: Array) -> Array:
    """Left, top, right, bottom; in shares of the picture, in which areas and IoU are as they are in pixels."""
    return np.concatenate([box[:2] - box[2:] / 2, box[:2] + box[2:] / 2])


def _area(box: Array) -> float:
    return float(np.prod(np.maximum(box[2:] - box[:2], 0)))


def _iou(a: Array, b: Array) -> float:
    shared = _area(np.concatenate([np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])]))
    return float(shared / max(_area(a) + _area(b) - shared, 1e-12))
