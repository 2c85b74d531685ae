"""Pools: selections of samples that models are trained on, drawn alike each time."""

from sluice.sandbox.pools.lattice import Lattice, lattice
from sluice.sandbox.pools.mixture import mixture
from sluice.sandbox.pools.pool import Pool
from sluice.sandbox.pools.pyramid import RATES, Expansion, Strategy, Tier, expand, tiers
from sluice.sandbox.pools.sampling import draw_keys, drawn
from sluice.sandbox.pools.single import CONTROL, control_pool, single_pools
from sluice.sandbox.pools.tertiles import PARTS, Tertiles, tertiles

__all__ = [
    "CONTROL",
    "PARTS",
    "RATES",
    "Expansion",
    "Lattice",
    "Pool",
    "Strategy",
    "Tertiles",
    "Tier",
    "control_pool",
    "draw_keys",
    "drawn",
    "expand",
    "lattice",
    "mixture",
    "single_pools",
    "tertiles",
    "tiers",
]
