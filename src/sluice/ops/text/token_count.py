"""How many tokens is a text for a language model?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from sluice.model.byte_pairs import load_tokenizer
from sluice.model.files import Weights, find
from sluice.operator import Field, measure

_PART = 1 << 18  # code points encoded at a time: an encoding takes some 100 bytes a token
_SPACE = re.compile(r"\s")


@measure(version=1, cost="header", libraries=("tokenizers",), example="Do you need a cup of coffee?")
class text_token_count:  # noqa: N801 - an operator's name is its class's
    """Number of tokens, special tokens (beginning, end) not counted, nothing cut off.

    `tokenizer` is a `tokenizer.json` of Hugging Face by path, the folder or name of a model that has one, or
    CLIP's list of byte pairs (`bpe_simple_vocab_16e6.txt.gz`, MIT), the default. Lone surrogates count as `?`.
    Texts beyond 262,144 code points are encoded in parts that end at white space, which may move the count by
    a token a part.
    """

    def __init__(self, *, tokenizer: Weights = "clip-bpe") -> None:
        self._name = tokenizer

    def open(self) -> None:
        """Load the tokenizer."""
        self._tokenizer = load_tokenizer(find(self._name))

    def __call__(
        self, text: str
    ) -> Annotated[int, Field(unit="tokens", ge=0, higher_is="longer", bound=">= 10")]:
        """The number of tokens of one text."""
        shown = text if text.isascii() else text.encode("utf-8", "replace").decode()
        return sum(len(self._tokenizer.encode(part, add_special_tokens=False).ids) for part in _parts(shown))


def _parts(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        space = _SPACE.search(text, start + _PART, start + 2 * _PART)
        stop = space.start() if space else start + 2 * _PART
        yield text[start:stop]
        start = stop
