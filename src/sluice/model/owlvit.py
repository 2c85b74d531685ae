"""OWL-ViT: boxes in a picture for phrases in free words."""

from __future__ import annotations

from typing import Any

from sluice.model.preprocess import preprocess
from sluice.model.pretrained import pretrained
from sluice.model.runner import Forward


def boxes(path: str, *, device: str, dtype: Any) -> Forward:
    """`pixel_values` [batch, 3, H, W] and token ids [batch, phrases, length] to [batch, boxes, 4 + phrases].

    The first four are a box as x and y of its centre, width and height, in shares of the picture; then the
    logit of each phrase.
    """
    model, made_float = pretrained("OwlViTForObjectDetection", path, device, dtype), preprocess(path).on

    def forward(inputs: dict[str, Any]) -> Any:
        pixels = made_float(inputs["pixel_values"]).to(dtype)
        queries = {name: inputs[name].flatten(0, 1) for name in ("input_ids", "attention_mask")}
        found = model(pixel_values=pixels, **queries)
        torch = _torch()
        return torch.cat([found.pred_boxes, found.logits], dim=-1)

    return forward


def _torch() -> Any:
    import torch

    return torch
