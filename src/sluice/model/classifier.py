"""Image classifiers of transformers: a probability for each of the labels that the model was trained on."""

from __future__ import annotations

from typing import Any

from sluice.errors import PlanError
from sluice.model.preprocess import preprocess
from sluice.model.pretrained import config, pretrained
from sluice.model.runner import Forward


def probabilities(path: str, *, device: str, dtype: Any) -> Forward:
    """`pixel_values` [batch, 3, H, W], 8-bit as `preprocess` gives them, to softmax probabilities [batch, labels]."""
    model, made_float = (
        pretrained("AutoModelForImageClassification", path, device, dtype),
        preprocess(path).on,
    )

    def forward(inputs: dict[str, Any]) -> Any:
        pixels = made_float(inputs["pixel_values"]).to(dtype)
        return model(pixel_values=pixels).logits.float().softmax(dim=-1)

    return forward


def labels(path: str) -> list[str]:
    """The labels in the order of the probabilities, from the model's `config.json`."""
    names = config(path).get("id2label") or {}
    return [str(names[key]) for key in sorted(names, key=int)]


def label_index(path: str, label: str | int) -> int:
    """The place of a label (upper and lower case alike) or of a number; PlanError names those there are."""
    known = labels(path)
    if isinstance(label, int):
        # A model of two outputs and no names has none in its configuration.
        if 0 <= label < max(len(known), 2):
            return label
    else:
        folded = [name.casefold() for name in known]
        if label.casefold() in folded:
            return folded.index(label.casefold())
    shown = ", ".join(f"{k} {name!r}" for k, name in enumerate(known[:8]))
    raise PlanError(f"the classifier has no label {label!r}", where=path, fix=f"it has: {shown or '0, 1'}")
