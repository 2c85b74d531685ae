"""Multi-operator pools: all combinations of a few single-operator pools, and the tiers that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sluice.errors import UsageError

MOST = 16
"""Conditions that a lattice may have: 2^16 combinations are more than anyone trains on."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """The 2^k - 1 combinations of k conditions over the same samples.

    `masks[i]` has bit j set where sample i meets condition j, so that a combination is a number and a look-up.
    """

    names: tuple[str, ...]
    masks: NDArray[np.uint32]

    def combinations(self) -> list[tuple[str, ...]]:
        """All that can be asked for: single conditions first, then pairs, up to all of them."""
        return [c for size in range(1, len(self.names) + 1) for c in combinations(self.names, size)]

    def members(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Positions of the samples that meet all of these conditions (and maybe others)."""
        bits = self._bits(names)
        return np.flatnonzero((self.masks & bits) == bits)

    def exactly(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Positions of the samples that meet these conditions and none of the others."""
        return np.flatnonzero(self.masks == self._bits(names))

    def lift(self, names: Sequence[str]) -> float:
        """How much more often the conditions meet than they would if they were independent; NaN where one has none.

        1,217k samples of which two thirds' pools share 147k: 12.08 %, which is 1.087 times 1/9.
        """
        expected = np.prod([float(np.mean(self.masks & self._bits([n]) != 0)) for n in names])
        together = len(self.members(names)) / len(self.masks) if len(self.masks) else 0.0
        return float(together / expected) if expected else float("nan")

    def _bits(self, names: Sequence[str]) -> np.uint32:
        unknown = [n for n in names if n not in self.names]
        if unknown:
            raise UsageError(
                f"there is no condition {unknown[0]!r}", fix="conditions: " + ", ".join(self.names)
            )
        return np.uint32(sum(1 << self.names.index(n) for n in set(names)))


def lattice(count: int, conditions: Mapping[str, NDArray[np.int64]]) -> Lattice:
    """The lattice over `count` samples; each condition is given by the positions of those that meet it."""
    if not 1 <= len(conditions) <= MOST:
        raise UsageError(
            f"{len(conditions)} conditions make no lattice", fix=f"give 1 to {MOST}: each doubles the pools"
        )
    masks = np.zeros(count, np.uint32)
    for bit, members in enumerate(conditions.values()):
        masks[members] |= np.uint32(1 << bit)
    return Lattice(tuple(conditions), masks)
