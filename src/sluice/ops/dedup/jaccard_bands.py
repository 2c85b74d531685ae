"""Finds the pairs of signatures that are worth comparing: locality-sensitive hashing by sorted bands.

A signature is cut into bands of r minima; two sets of Jaccard similarity s agree in one band with the
probability s^r, and in at least one of b bands with 1 - (1 - s^r)^b (Leskovec, Rajaraman and Ullman, "Mining
of Massive Datasets", 3.4). Only pairs that do are candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sluice.ops.dedup.collect import Rows

MISSED = 0.01
"""Of the pairs exactly at the threshold at most this share may be missed; nearer ones are missed less often."""

CANDIDATES = 1 << 18
"""Pairs handed on at a time: a few MB."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Bands:
    """How a signature is cut: into `count` bands of `rows` minima each; what is left over is not used."""

    count: int
    rows: int

    def missed(self, similarity: float) -> float:
        """The probability that a pair of this Jaccard similarity is no candidate."""
        return float((1 - similarity**self.rows) ** self.count)


def choose(permutations: int, similarity: float, missed: float = MISSED) -> Bands:
    """The longest bands, hence the fewest needless candidates, that miss at most `missed` of the pairs at
    `similarity`; bands of one where none do."""
    for rows in range(permutations, 1, -1):
        bands = Bands(permutations // rows, rows)
        if bands.missed(similarity) <= missed:
            return bands
    return Bands(permutations, 1)


def band_keys(signatures: NDArray[np.uint32], bands: Bands) -> NDArray[np.uint32]:
    """[bands, n] a 32-bit hash of each band of the signatures [n, permutations].

    Bands that differ share a hash once in 4.3 · 10⁹; then a pair is compared for nothing.
    """
    cut = signatures[:, : bands.count * bands.rows].reshape(len(signatures), bands.count, bands.rows)
    keys = np.zeros((bands.count, len(signatures)), np.uint64)
    for row in range(bands.rows):
        keys = (keys ^ cut[:, :, row].T) * _FACTOR
        keys ^= keys >> np.uint64(29)
    return ((keys * _FACTOR) >> np.uint64(32)).astype(np.uint32)


def candidates(keys: NDArray[np.uint32]) -> Iterator[tuple[Rows, Rows]]:
    """Every pair of columns i, j of `keys` [bands, n] that agree in a band, each once, in pieces.

    Sorted by its keys a band has those that agree side by side. A pair belongs to the first band in which it
    agrees. Memory goes to one sorted band and one piece.
    """
    for number, band in enumerate(keys):
        order = np.argsort(band, kind="stable")
        found = band[order]
        edges = np.flatnonzero(np.concatenate([[True], found[1:] != found[:-1], [True]]))
        stop = np.repeat(edges[1:], np.diff(edges))
        later = stop - np.arange(len(band)) - 1  # how many stand after each in its run
        for part in portions(np.flatnonzero(later), later, CANDIDATES):
            i, j = _with_later(part, later[part])
            i, j = order[i], order[j]
            new = np.ones(len(i), np.bool_)
            for earlier in keys[:number]:
                new &= earlier[i] != earlier[j]
            if new.any():
                yield i[new], j[new]


def portions(rows: Rows, weight: Rows, most: int) -> Iterator[Rows]:
    """Cut `rows` so that the pieces' sums of `weight[row]` are about `most`, and one row at least."""
    filled = np.cumsum(weight[rows]) // most
    yield from (part for part in np.split(rows, np.flatnonzero(np.diff(filled)) + 1) if len(part))


def _with_later(places: Rows, later: Rows) -> tuple[Rows, Rows]:
    """Pair each place with the `later` ones that follow it."""
    first = np.repeat(places, later)
    begins = np.cumsum(later) - later
    return first, first + 1 + np.arange(len(first)) - np.repeat(begins, later)
