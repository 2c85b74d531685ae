"""Mixes pools by weight."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from sluice.errors import UsageError
from sluice.sandbox.pools.pool import Pool
from sluice.sandbox.pools.sampling import draw_keys, drawn


def mixture(
    name: str, pools: Mapping[str, Pool], weights: Mapping[str, float], *, size: int, seed: int
) -> Pool:
    """A pool of `size` samples, of each pool its weight's share of them.

    Weights need not sum to one. Shares are rounded by the largest remainder, so that the sizes sum to `size`. A
    sample that several pools hold may come in more than once. A pool that has too few samples for its share is
    taken whole and again as often as needed; `origin` tells how often on average.
    """
    given = {k: float(w) for k, w in weights.items() if w}
    wrong = [k for k, w in given.items() if k not in pools or not np.isfinite(w) or w < 0]
    if wrong or not given:
        raise UsageError(
            f"the weight of {wrong[0]!r} cannot be used" if wrong else "all weights are 0",
            fix="give pools that exist (" + ", ".join(sorted(pools)) + ") weights of 0 or more",
        )
    parts, repeats = [], {}
    for key, share in _shares(given, size).items():
        ids = pools[key].ids
        if share and not len(ids):
            raise UsageError(f"the pool {key!r} is empty", fix="give it the weight 0")
        whole, rest = divmod(share, len(ids)) if len(ids) else (0, 0)
        some = drawn(draw_keys(ids, seed, name), np.arange(len(ids)), rest)
        parts += [ids] * whole + [ids.take(pa.array(some))]
        repeats[key] = share / len(ids) if len(ids) else 0.0
    origin = {"kind": "mixture", "weights": given, "seed": seed, "times_over": repeats}
    return Pool(name, pa.concat_arrays(parts), origin)


def _shares(weights: Mapping[str, float], size: int) -> dict[str, int]:
    total = sum(weights.values())
    exact = {key: size * weight / total for key, weight in weights.items()}
    found = {key: int(share) for key, share in exact.items()}
    missing = size - sum(found.values())
    for key in sorted(exact, key=lambda k: found[k] - exact[k])[:missing]:
        found[key] += 1
    return found
