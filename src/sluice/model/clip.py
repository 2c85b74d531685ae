"""Vision-text models that put pictures and texts into one space: CLIP, SigLIP and their kin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.errors import Declined
from sluice.model.preprocess import preprocess
from sluice.model.pretrained import pretrained
from sluice.model.runner import Forward

DEFAULT = "openai/clip-vit-large-patch14"


def image_tower(path: str, *, device: str, dtype: Any) -> Forward:
    """`pixel_values` [batch, 3, H, W], 8-bit as `preprocess` gives them, to embeddings [batch, size]."""
    model, made_float = pretrained("AutoModel", path, device, dtype), preprocess(path).on

    def forward(inputs: dict[str, Any]) -> Any:
        pixels = made_float(inputs["pixel_values"]).to(dtype)
        return _pooled(model.get_image_features(pixel_values=pixels))

    return forward


def text_tower(path: str, *, device: str, dtype: Any) -> Forward:
    """Token ids [batch, length], as the model's tokenizer names them, to embeddings [batch, size]."""
    model = pretrained("AutoModel", path, device, dtype)

    def forward(inputs: dict[str, Any]) -> Any:
        return _pooled(model.get_text_features(**inputs))

    return forward


def _pooled(features: Any) -> Any:
    return getattr(features, "pooler_output", features)


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32] | Declined:
    """The vector at length 1 (float32), or why it has none: not finite, or zero."""
    precise = vector.astype(np.float64)
    length = float(np.sqrt(np.square(precise).sum()))
    if not np.isfinite(length):
        return Declined("not a number", "the model gave an embedding that is not finite")
    if length == 0:
        return Declined("zero vector", "the model gave an embedding without direction")
    return (precise / length).astype(np.float32)
