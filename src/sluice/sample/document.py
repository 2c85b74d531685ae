"""Documents: samples whose items are read in their order, and that need no single one of them."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.sample.model import MEDIA_MODALITIES

CONTENT = ("text", *sorted(MEDIA_MODALITIES))
"""Modalities of which a sample must have an item left to be worth keeping."""


def is_document(modalities: Sequence[str], names: Sequence[str | None]) -> bool:
    """Whether items of these modalities and names are a document's: named by their place, metadata left out.

    `0.txt, 1.jpg, 2.txt` are; `jpg, txt` and `image, caption` are a captioned picture.
    """
    content = [name for modality, name in zip(modalities, names, strict=True) if modality != "metadata"]
    return bool(content) and all((name or "").partition(".")[0] == str(k) for k, name in enumerate(content))
