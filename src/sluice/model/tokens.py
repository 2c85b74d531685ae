"""Turns a text into what a language model reads: token ids of one length that the text alone decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sluice.errors import Declined
from sluice.model.pretrained import config, tokenizer
from sluice.model.runner import Array, Row

STEP = 64
"""Texts are padded to a multiple of this, or to the model's limit: few shapes, little waste."""
_GREATEST_LENGTH = 100_000
"""Code points of a text that are looked at: far more than any limit in tokens, so that no text takes long."""


class Tokens:
    """The tokenizer of the model in a folder.

    Texts longer than `limit` tokens (by default what the model can read) are cut, special tokens kept; all are
    padded to the limit if `fixed` (as CLIP and SigLIP were trained), else to a multiple of 64.
    """

    def __init__(self, folder: str, *, limit: int | None = None, fixed: bool = False) -> None:
        self._tokenizer = tokenizer(folder)
        most = _limit(folder, self._tokenizer)
        self.limit = min(limit or most, most)
        self._fixed = fixed

    def __call__(self, text: str) -> Row | Declined:
        """The model's inputs for one text: int64 arrays [length] by name; blank texts are declined."""
        shown = readable(text)
        if not shown:
            return Declined("no text", "the text is blank")
        length = self.limit
        if not self._fixed:
            used = len(self._tokenizer(shown, truncation=True, max_length=self.limit)["input_ids"])
            length = min(self.limit, -(-used // STEP) * STEP)
        return {name: ids[0] for name, ids in self._encoded([shown], length).items()}

    def table(self, texts: Sequence[str]) -> Row:
        """The inputs for several short texts, padded to the limit: int64 [texts, limit] by name."""
        return self._encoded([readable(text) for text in texts], self.limit)

    def _encoded(self, texts: list[str], length: int) -> Row:
        found = self._tokenizer(texts, padding="max_length", truncation=True, max_length=length)
        return {name: np.asarray(ids, dtype=np.int64) for name, ids in found.items()}


def readable(text: str) -> str:
    """The text as tokenizers take it: unpaired surrogates as `?`, its first 100,000 code points, stripped."""
    return text[:_GREATEST_LENGTH].encode("utf-8", "replace").decode("utf-8").strip()


def answered(
    rows: Sequence[Row | Declined], run: Callable[[Sequence[Row]], list[Array]]
) -> list[Array | Declined]:
    """What a model gives for the rows that there are; a row that was declined stays so."""
    results = iter(run([row for row in rows if not isinstance(row, Declined)]))
    return [row if isinstance(row, Declined) else next(results) for row in rows]


def _limit(folder: str, found: Any) -> int:
    """The most tokens that the model can read: of its tokenizer's and its positions' limit the lower."""
    whole = config(folder)
    text = whole.get("text_config") or whole
    limits = [text.get("max_position_embeddings"), found.model_max_length]
    return min((int(n) for n in limits if n and n < 1 << 30), default=512)
