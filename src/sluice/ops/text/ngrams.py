"""Which runs of n characters or words come more than once: exact for words, by 64-bit hashes for characters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Counts = NDArray[np.int64]

_BLOCK = 1 << 17  # code points hashed at a time: fits the cache, and keeps what a huge text needs small
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, odd (Knuth, volume 3, section 6.4)
_SHIFT = np.uint64(29)


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


def character_counts(codes: NDArray[np.uint8 | np.uint32], n: int) -> tuple[int, Counts]:
    """How many different runs of n characters there are, and how often each comes that comes more than once.

    Runs are told apart by 64-bit hashes: two different ones in a text of a million characters look alike with
    a probability of 3 in 10⁸. Needs some 10 bytes a character, and 16 a run that comes again.
    """
    total = len(codes) - n + 1
    if total < 1:
        return 0, np.empty(0, np.int64)
    hashes = np.empty(total, np.uint64)
    for start in range(0, total, _BLOCK):
        stop = min(start + _BLOCK, total)
        hashes[start:stop] = rolled(codes[start : stop + n - 1].astype(np.uint64), n)
    hashes.sort()
    same = np.zeros(total + 1, np.bool_)  # as the one before; a repeated run is a stretch of these
    np.equal(hashes[1:], hashes[:-1], out=same[1:-1])
    edges = np.flatnonzero(same[1:] != same[:-1])
    return total - int(np.count_nonzero(same)), edges[1::2] - edges[::2] + 1


def has_repeated_run(words: Sequence[str], n: int) -> bool:
    """Whether some run of n words may come twice; false only where none does."""
    if len(words) < n:
        return False
    values = np.fromiter(map(hash, words), np.int64, len(words)).view(np.uint64)
    hashes = rolled(values, n)
    hashes.sort()
    return bool((hashes[1:] == hashes[:-1]).any())


def word_ranks(words: Sequence[str]) -> Counts:
    """A number for each word, equal for equal words: [words]."""
    known = {word: rank for rank, word in enumerate(dict.fromkeys(words))}
    return np.fromiter(map(known.__getitem__, words), np.int64, len(words))


def run_ranks(words: Counts, n: int) -> Counts:
    """A number for each run of n words, equal for equal runs, exactly: [words - n + 1]; n is at most the words."""
    ranks, width = words, 1
    while width < n:
        step = min(width, n - width)
        ranks = paired(ranks[:-step], ranks[step:])
        width += step
    return ranks


def paired(left: Counts, right: Counts) -> Counts:
    """A number for each pair of ranks, equal for equal pairs."""
    pairs = left * (int(right.max(initial=0)) + 1) + right
    ranks: Counts = np.unique(pairs, return_inverse=True)[1]
    return ranks
