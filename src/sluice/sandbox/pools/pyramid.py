"""The pyramid: samples in tiers by how many of the chosen conditions they meet, and how to take more of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sluice.errors import UsageError
from sluice.sandbox.pools.lattice import Lattice
from sluice.sandbox.pools.sampling import Keys, drawn

Strategy = Literal["repeat", "extend"]
RATES = (2, 4, 6, 8, 10)
"""How many times the base size a pool is grown to (Data-Juicer Sandbox, section 5.4)."""

Combination = tuple[str, ...]
Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tier:
    """The samples that meet exactly this combination of conditions; `level` is how many they are."""

    level: int
    combination: Combination
    members: Positions


def tiers(of: Lattice, score: Callable[[Combination], float] | None = None) -> list[Tier]:
    """All tiers that have samples, best first: more conditions before fewer, within a level by falling score.

    `score` is what a combination has been worth in an experiment; without one they stay in the lattice's order.
    Samples that meet none of the conditions are in no tier.
    """
    found = [Tier(len(c), c, of.exactly(c)) for c in of.combinations()]
    ranked = sorted(found, key=lambda t: (-t.level, -score(t.combination) if score else 0.0))
    return [tier for tier in ranked if len(tier.members)]


@dataclass(frozen=True, eq=False)
class Expansion:
    """A grown pool: positions of its samples, repeated ones repeatedly, and the share that comes from each level."""

    members: Positions
    shares: Mapping[int, float]
    note: str = ""


def expand(pyramid: Sequence[Tier], keys: Keys, *, base: int, rate: float, strategy: Strategy) -> Expansion:
    """A pool of `base` x `rate` samples.

    `repeat` takes the first `base` samples of the top tier again and again; `extend` takes each sample once, the
    top tier first and then down the tiers. Within a tier samples are drawn by their keys, so that pools of one
    strategy are nested. Where `extend` runs out of samples the pool is smaller, and `note` says so.
    """
    if not pyramid or base < 1 or rate < 1:
        raise UsageError(
            "nothing can be expanded",
            fix="give a pyramid that has samples, a base of at least 1 and a rate of at least 1",
        )
    size = round(base * rate)
    if strategy == "repeat":
        return _repeated(pyramid[0], keys, base, size)
    parts: list[tuple[int, Positions]] = []
    left = size
    for tier in pyramid:
        if not left:
            break
        parts.append((tier.level, drawn(keys, tier.members, left)))
        left -= len(parts[-1][1])
    total = size - left
    shares: dict[int, float] = {}
    for level, members in parts:
        shares[level] = shares.get(level, 0.0) + len(members) / total
    note = f"all tiers together have {total} samples of the {size} asked for" if left else ""
    return Expansion(np.concatenate([members for _, members in parts]), shares, note)


def _repeated(top: Tier, keys: Keys, base: int, size: int) -> Expansion:
    once = drawn(keys, top.members, base)
    whole, rest = divmod(size, len(once))
    # The rest is drawn, not cut off the front: its order is that of the source.
    members = np.concatenate([*[once] * whole, drawn(keys, once, rest)])
    note = f"the top tier has {len(once)} samples of a base of {base}" if len(once) < base else ""
    return Expansion(members, {top.level: 1.0}, note)
