"""Compares vectors with vectors: candidates by fast products, decided by slow ones that nothing can sway."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sluice.ops.dedup.collect import Found, Rows
from sluice.ops.dedup.products import Products
from sluice.ops.dedup.vectors import BLOCK, Directions

Keep = Callable[[Rows, Rows], NDArray[np.bool_]]

_VERIFIED = 1 << 21  # numbers gathered at a time to verify candidates: 16 MB each side


class Comparison:
    """Adds to `found` the pairs of rows with cosine ≥ `least`, by products in single and double precision.

    A product of unit vectors in single precision is off by at most about dim · 2^-24 in any order of
    summation (Higham, 2002, ch. 3). What is above the bound less twice that is computed again in double
    precision, always by the same order of summation, and rounded to single: neither scores nor decisions
    depend on blocks, threads or the device.
    """

    def __init__(
        self, of: Directions, least: float, found: Found, products: Products, block: int = BLOCK
    ) -> None:
        self.of, self.least, self.found = of, least, found
        self._products, self._block = products, block
        self._suspect = least - (of.vectors.dim + 8) * 2.0**-23

    def afresh(self) -> Comparison:
        """The same comparison with nothing found yet."""
        return Comparison(self.of, self.least, self.found.afresh(), self._products, self._block)

    def within(self, rows: Rows) -> None:
        """Compare every two of these rows."""
        for start in range(0, len(rows), self._block):
            above = rows[start : start + self._block]
            left = self._hold(above)
            i, j = self._products.near(left, left, self._suspect)
            self._decide(above[i[i < j]], above[j[i < j]])
            self._with(above, left, rows[start + self._block :], None)
        self.found.looked_at(len(rows) * (len(rows) - 1) // 2)

    def between(self, rows: Rows, others: Rows, keep: Keep | None = None) -> None:
        """Compare these rows with the others; `keep` says which of the candidate pairs matter."""
        for start in range(0, len(rows), self._block):
            above = rows[start : start + self._block]
            self._with(above, self._hold(above), others, keep)
        self.found.looked_at(len(rows) * len(others))

    def _hold(self, rows: Rows) -> object:
        return self._products.hold(self.of.units(rows))

    def _with(self, above: Rows, left: object, others: Rows, keep: Keep | None) -> None:
        for start in range(0, len(others), self._block):
            below = others[start : start + self._block]
            i, j = self._products.near(left, self._hold(below), self._suspect)
            a, b = above[i], below[j]
            wanted = keep(a, b) if keep is not None and len(a) else slice(None)
            self._decide(a[wanted], b[wanted])

    def _decide(self, a: Rows, b: Rows) -> None:
        step = max(1, _VERIFIED // max(1, self.of.vectors.dim))
        for start in range(0, len(a), step):
            here, there = a[start : start + step], b[start : start + step]
            score = cosines(self.of, here, there)
            near = score >= np.float32(self.least)
            if near.any():
                self.found.add(here[near], there[near], score[near])


def cosines(of: Directions, a: Rows, b: Rows) -> NDArray[np.float32]:
    """The cosines of rows a with rows b, one by one, in double precision, rounded to single."""
    products = of.vectors.take(a).astype(np.float64) * of.vectors.take(b)
    score: NDArray[np.float32] = (
        (products.sum(axis=1) / (of.norms[a] * of.norms[b])).clip(-1, 1).astype(np.float32)
    )
    return score
