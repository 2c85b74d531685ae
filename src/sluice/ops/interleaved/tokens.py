"""Counts the tokens of texts and says how far a text reaches with so many: by an estimate, or a tokenizer's."""

from __future__ import annotations

from typing import Any, Protocol

from sluice.model.byte_pairs import load_tokenizer
from sluice.model.files import find
from sluice.ops.text.boundaries import last_end

BYTES_PER_TOKEN = 4
"""Of English text, by the rule of thumb of those who publish byte-pair tokenizers (OpenAI's help pages, 2023)."""
_WINDOW = 8  # code points a token that are looked at first; few texts have longer tokens on average


class Tokens(Protocol):
    """A way to count tokens."""

    def count(self, text: str) -> int:
        """The tokens of a text."""

    def reach(self, text: str, start: int, most: int) -> int:
        """The furthest end of a piece that begins at `start` and has at most `most` tokens (1 or more).

        At least one code point beyond `start`, whatever its tokens, unless the text ends there.
        """


class Estimate:
    """A token for every four bytes of UTF-8, rounded up."""

    def count(self, text: str) -> int:
        """The bytes over four."""
        return -(-len(_encoded(text)) // BYTES_PER_TOKEN)

    def reach(self, text: str, start: int, most: int) -> int:
        """As `Tokens` says."""
        size = most * BYTES_PER_TOKEN
        window = _encoded(text[start : start + size])
        fits = len(window[:size].decode("utf-8", "ignore"))
        return min(start + max(1, fits), len(text))


class Tokenizer:
    """The tokens of a tokenizer file by path or name, special tokens not counted."""

    def __init__(self, name: str) -> None:
        self._tokenizer = load_tokenizer(find(name))

    def count(self, text: str) -> int:
        """The tokens of a text."""
        return len(self._encode(text).ids)

    def reach(self, text: str, start: int, most: int) -> int:
        """As `Tokens` says; a longer piece may have as few tokens where the tokenizer is not monotonic."""
        size = _WINDOW * most
        while True:
            window = text[start : start + size]
            offsets = self._encode(window).offsets
            if len(offsets) > most or start + size >= len(text):
                break
            size *= 2
        end = len(window) if len(offsets) <= most else offsets[most][0]
        while end > 1 and self.count(window[:end]) > most:  # cut within a word, it may have more tokens
            end -= 1
        return min(start + max(1, end), len(text))

    def _encode(self, text: str) -> Any:
        return self._tokenizer.encode(_encoded(text).decode(), add_special_tokens=False)


def piece_end(tokens: Tokens, text: str, start: int, most: int) -> int:
    """Where a piece of at most `most` tokens best ends: at a boundary in the second half of what fits, if any."""
    end = tokens.reach(text, start, most)
    if end == len(text):
        return end
    end = last_end(text, start, end)
    while end > start + 1 and tokens.count(text[start:end]) > most:
        end = last_end(text, start, end - 1)
    return end


def _encoded(text: str) -> bytes:
    """The text in UTF-8, lone surrogates as `?`, so that it has as many code points."""
    return text.encode("utf-8", "replace")
