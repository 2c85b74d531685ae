"""Captions to numbers: words by their hashes, so that no vocabulary depends on the data that an arm happens to have."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import xxhash
from numpy.typing import NDArray

PAD, START, END = 0, 1, 2
"""What fills a row up, begins a caption, and ends it."""

_SPECIAL = 3
_WORD = re.compile(r"\w+|[^\w\s]")


def numbered(caption: str, vocabulary: int, length: int) -> NDArray[np.int64]:
    """A row of `length` numbers: START, one for each word of the lower-cased caption, END, then PAD.

    A word has the number that its xxh3-64 gives among `vocabulary`
    less the three special ones, so two words may share one. What does not fit is cut off, END being kept.
    """
    words = words_of(caption)[: length - 2]
    row = np.full(length, PAD, np.int64)
    row[: len(words) + 2] = [START, *(number_of(word, vocabulary) for word in words), END]
    return row


def said(row: NDArray[np.int64]) -> list[int]:
    """The numbers of a row's words: from after START to before END or PAD."""
    found: list[int] = row[1:].tolist()
    ends = [k for k, number in enumerate(found) if number in (PAD, END)]
    return found[: ends[0]] if ends else found


def words_of(caption: str) -> list[str]:
    """The words of a caption, lower-cased: runs of letters and digits, and every other sign."""
    return _WORD.findall(caption.lower())


@lru_cache(1 << 16)
def number_of(word: str, vocabulary: int) -> int:
    """The number of a word."""
    return _SPECIAL + xxhash.xxh3_64_intdigest(word.encode("utf-8", "surrogatepass")) % (
        vocabulary - _SPECIAL
    )
