"""Which runs of n characters or words come more than once, told by 64-bit hashes or by ranks.

Two different runs have one hash with a probability of 5 in 10²⁰: in a text of a million runs some two do so once in
thirty million texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Counts = NDArray[np.int64]

_BLOCK = 1 << 17  # code points hashed at a time: fits the cache, and keeps what a huge text needs small
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, odd (Knuth, volume 3, section 6.4)
_SHIFT = np.uint64(29)
_TABLE_BITS = 16


def rolled(values: Hashes, n: int) -> Hashes:
    """The hash of every run of n values, [len(values) - n + 1]; a run's is made of two that cover it."""
    width = 1
    while width < n:
        step = min(width, n - width)
        values = _mixed(values[:-step], values[step:])
        width += step
    return values


def _mixed(left: Hashes, right: Hashes) -> Hashes:
    mixed = left * _FACTOR
    mixed += right
    mixed ^= mixed >> _SHIFT
    return mixed


def character_hashes(codes: NDArray[np.uint8 | np.uint32], n: int) -> Hashes:
    """The hash of every run of n characters: [characters - n + 1], none if there are fewer characters."""
    total = max(len(codes) - n + 1, 0)
    hashes = np.empty(total, np.uint64)
    for start in range(0, total, _BLOCK):
        stop = min(start + _BLOCK, total)
        hashes[start:stop] = rolled(codes[start : stop + n - 1].astype(np.uint64), n)
    return hashes


def word_hashes(words: Sequence[str], n: int) -> Hashes:
    """The hash of every run of n words: [words - n + 1], none if there are fewer words."""
    if len(words) < n:
        return np.empty(0, np.uint64)
    return rolled(np.fromiter(map(hash, words), np.int64, len(words)).view(np.uint64), n)


def repetitions(hashes: Hashes) -> tuple[int, Counts]:
    """How many different hashes there are, and how often each comes that comes more than once.

    Most runs come once, and most of those are told by a table of the hashes' first bits; the rest is sorted.
    """
    bits = min(len(hashes).bit_length() + 2, _TABLE_BITS)
    place = (hashes >> np.uint64(64 - bits)).view(np.int64)
    crowded = hashes[np.bincount(place, minlength=1 << bits).take(place) > 1]
    crowded.sort()
    same = np.zeros(len(crowded) + 1, np.bool_)  # as the one before; what comes again is a stretch of these
    np.equal(crowded[1:], crowded[:-1], out=same[1:-1])
    edges = np.flatnonzero(same[1:] != same[:-1])
    return len(hashes) - int(np.count_nonzero(same)), edges[1::2] - edges[::2] + 1


def word_ranks(words: Sequence[str]) -> Counts:
    """A number for each word, equal for equal words: [words]."""
    known = {word: rank for rank, word in enumerate(dict.fromkeys(words))}
    return np.fromiter(map(known.__getitem__, words), np.int64, len(words))


def paired(left: Counts, right: Counts) -> Counts:
    """A number for each pair of ranks, equal for equal pairs."""
    pairs = left * (int(right.max(initial=0)) + 1) + right
    ranks: Counts = np.unique(pairs, return_inverse=True)[1]
    return ranks
