"""Numbers that stand for stretches of a text, so that its words and its runs of characters compare as arrays do.

The hash of a stretch is the polynomial of its code points in `_BASE`, mod 2⁶⁴ (Karp and Rabin, "Efficient randomized
pattern-matching algorithms", 1987), times a constant that spreads it over the high bits: differences of running sums
give that of every stretch for a few operations a character. Two different stretches have one hash with a probability
of 5 in 10²⁰; only runs of hundreds of characters that were built to have one have it more often.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sluice.operator import feature
from sluice.ops.text import characters
from sluice.ops.text.characters import GAP, PLANES, SPECIAL, Codes, Kinds
from sluice.ops.text.words import words

Hashes = NDArray[np.uint64]
WordHashes = Annotated[Hashes, "hashes of the refined words in lower case, in their order: [words]"]
Places = NDArray[np.intp]

_BLOCK = (
    1 << 16
)  # characters at a time: what they need fits the cache, and powers stay few; itself a power of 2
_BASE = 6364136223846793005  # of the MMIX generator: few small differences cancel (Knuth, volume 2, 3.3.4, table 1)
_SPREAD = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio, odd (Knuth, volume 3, section 6.4)
_MODULUS = 1 << 64
_HALF, _TAIL = np.uint64(32), np.uint64(48)
LONGEST_RUN = 1000
"""Characters or words of a run, at most."""


def run_hashes(values: NDArray[np.unsignedinteger], n: int) -> Hashes:
    """The hash of every run of n code points or word hashes: [values - n + 1], none if there are fewer values."""
    total = max(len(values) - n + 1, 0)
    hashes = np.empty(total, np.uint64)
    for start in range(0, total, _BLOCK):
        block = hashes[start : start + _BLOCK]
        sums = _sums(values[start : start + len(block) + n - 1].astype(np.uint64, copy=False))
        np.subtract(sums[n:], sums[:-n], out=block)
        block *= _inverses()[: len(block)]
    return hashes


@feature(scope="text", version=1, cost="header")
def word_hashes(text: str, codes: Codes, kinds: Kinds) -> WordHashes:
    """The hashes of the words that `lowercase_words` gives, without making them."""
    if "Σ" in text or "İ" in text:  # in lower case one hangs on its neighbours, the other becomes two
        return hashes_of(words(text))
    begins, ends = _bounds(kinds)
    sums = _sums(_lowercase(codes)) if len(codes) <= _BLOCK else _sums_of_blocks(codes)
    hashes: Hashes = sums.take(ends) - sums.take(begins)
    hashes *= _inverses().take(begins & (_BLOCK - 1))
    if len(codes) > _BLOCK:
        inverses = np.array([pow(_BASE, -k, _MODULUS) for k in range(0, len(codes), _BLOCK)], np.uint64)
        hashes *= inverses.take(begins // _BLOCK)
    hashes ^= hashes >> _HALF  # else runs would not tell `ab c` from `ac b`
    return hashes


def hashes_of(refined: Iterable[str]) -> Hashes:
    """The hashes of refined words; they are put in lower case."""
    text = " ".join(word.lower() for word in refined)
    codes = characters.codes(text)
    return word_hashes(text, codes, characters.kinds(codes))


class Listed:
    """The words of a list, to count those of a text that stand in it: found by the first 16 bits of their hashes."""

    def __init__(self, some: Iterable[str]) -> None:
        # What no refined word can be (several words, a special character at an end) is never met.
        self._hashes = np.unique(hashes_of(word for word in some if words(word) == [word]))
        heads = np.arange((1 << 16) + 1, dtype=np.uint64)
        self._places = np.searchsorted(self._hashes >> _TAIL, heads)
        self._most = int(np.diff(self._places).max())

    def count(self, hashes: Hashes) -> int:
        """How many of the words that have these hashes stand in the list."""
        places = self._places.take((hashes >> _TAIL).view(np.int64))
        found = np.zeros(len(hashes), np.bool_)
        for k in range(self._most):
            found |= self._hashes.take(places + k, mode="clip") == hashes
        return int(np.count_nonzero(found))


def _bounds(kinds: Kinds) -> tuple[Places, Places]:
    """Where each refined word begins and ends: stretches free of special characters, joined up to the next gap."""
    inside = np.zeros(len(kinds) + 2, np.bool_)
    np.equal(kinds & SPECIAL, 0, out=inside[1:-1])
    edges = (inside[1:] != inside[:-1]).nonzero()[0]
    piece = np.add.accumulate(kinds >= GAP, dtype=np.int32).take(edges[::2])
    is_first = np.ones(len(piece) + 1, np.bool_)  # of its word; the end counts as the beginning of one more
    np.not_equal(piece[1:], piece[:-1], out=is_first[1:-1])
    first = 2 * is_first.nonzero()[0]
    return edges.take(first[:-1]), edges.take(first[1:] - 1)


def _sums(values: Hashes) -> Hashes:
    """The running sums of values times their powers: before each value, and after the last."""
    sums = np.zeros(len(values) + 1, np.uint64)
    np.add.accumulate(values * _powers()[: len(values)], out=sums[1:])
    return sums


def _sums_of_blocks(codes: Codes) -> Hashes:
    """The running sums of a long text's code points in lower case."""
    sums = np.zeros(len(codes) + 1, np.uint64)
    for start in range(0, len(codes), _BLOCK):
        block = _sums(_lowercase(codes[start : start + _BLOCK]))
        block *= np.uint64(pow(_BASE, start, _MODULUS))
        block += sums[start]
        sums[start : start + len(block)] = block
    return sums


def _lowercase(codes: Codes) -> Hashes:
    """Code points in lower case, one added, so that a NUL counts too."""
    lower = _lowercase_table().take(codes, mode="clip")
    if codes.dtype == np.uint32 and codes.max() >= PLANES:
        lower = np.where(codes < PLANES, lower, codes + np.uint64(1))
    return lower


@cache
def _lowercase_table() -> Hashes:
    return np.fromiter((ord(chr(c).lower()[0]) + 1 for c in range(PLANES)), np.uint64, PLANES)


@cache
def _powers() -> Hashes:
    return _accumulated(1, _BASE)


@cache
def _inverses() -> Hashes:
    return _accumulated(_SPREAD, pow(_BASE, -1, _MODULUS))


def _accumulated(first: int, factor: int) -> Hashes:
    powers = np.full(_BLOCK + LONGEST_RUN, factor, np.uint64)
    powers[0] = first
    return np.multiply.accumulate(powers)
