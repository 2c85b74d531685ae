"""Which runs of n characters or words come more than once, told by 64-bit hashes or by ranks.

Two different runs have one hash with a probability of 5 in 10²⁰: in a text of a million runs some two do so once in
thirty million texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sluice.ops.text.hashes import Hashes

Counts = NDArray[np.int64]

_MOST_IN_TABLE = 1 << 15  # 1 MB, which fits the cache


def repetitions(hashes: Hashes) -> tuple[int, Counts]:
    """How many different hashes there are, and how often each comes that comes more than once.

    Most runs come once, and most of those are told by a table of the hashes' first bits; the rest is sorted.
    """
    crowded = _crowded(hashes)
    crowded.sort()
    same = np.zeros(len(crowded) + 1, np.bool_)  # as the one before; what comes again is a stretch of these
    np.equal(crowded[1:], crowded[:-1], out=same[1:-1])
    edges = (same[1:] != same[:-1]).nonzero()[0]
    return len(hashes) - int(np.count_nonzero(same)), edges[1::2] - edges[::2] + 1


def _crowded(hashes: Hashes) -> Hashes:
    """All hashes that come more than once, and a few that do not; all there are where the table would be large."""
    if len(hashes) > _MOST_IN_TABLE:
        return hashes.copy()
    bits = len(hashes).bit_length() + 2
    place = (hashes >> np.uint64(64 - bits)).view(np.int64)
    return hashes.take((np.bincount(place, minlength=1 << bits).take(place) > 1).nonzero()[0])


def word_ranks(words: Sequence[str]) -> Counts:
    """A number for each word, equal for equal words: [words]."""
    known = {word: rank for rank, word in enumerate(dict.fromkeys(words))}
    return np.fromiter(map(known.__getitem__, words), np.int64, len(words))


def paired(left: Counts, right: Counts) -> Counts:
    """A number for each pair of ranks, equal for equal pairs."""
    pairs = left * (int(right.max(initial=0)) + 1) + right
    ranks: Counts = np.unique(pairs, return_inverse=True)[1]
    return ranks
