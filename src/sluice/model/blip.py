"""BLIP, asked whether a text belongs to a picture (image-text matching)."""

from __future__ import annotations

from typing import Any

from sluice.model.preprocess import preprocess
from sluice.model.pretrained import pretrained
from sluice.model.runner import Forward


def matching(path: str, *, device: str, dtype: Any) -> Forward:
    """`pixel_values` [batch, 3, H, W] and token ids [batch, length] to the probability of a match [batch, 1]."""
    model = pretrained("BlipForImageTextRetrieval", path, device, dtype)
    made_float = preprocess(path).on

    def forward(inputs: dict[str, Any]) -> Any:
        # The model's own forward makes the picture's mask on the CPU; its parts are called as it calls them.
        pixels = made_float(inputs["pixel_values"]).to(dtype)
        seen = model.vision_model(pixel_values=pixels).last_hidden_state
        read = model.text_encoder(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            encoder_hidden_states=seen,
            encoder_attention_mask=seen.new_ones(seen.shape[:-1]).long(),
        )
        return model.itm_head(read.last_hidden_state[:, 0]).float().softmax(dim=-1)[:, 1:]

    return forward
