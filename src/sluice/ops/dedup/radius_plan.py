"""How to cut hashes into blocks so that all pairs within a Hamming radius are found with the least work.

The generalised pigeonhole principle: cut the bits into disjoint blocks and give block i a radius r_i. If a
pair differed in more than r_i bits of every block, it would differ in at least sum(r_i + 1) bits. So when
sum(r_i + 1) = distance + 1, a pair within `distance` is within r_i in some block, and looking at the pairs
whose blocks are that near loses nothing. (Multi-index hashing of Norouzi, Punjani and Fleet, 2012, is the
case of equal radii; unequal ones need fewer probes.)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, inf

import numpy as np

# Nanoseconds, measured with benchmarks/dedup_hamming.py on one core (AMD EPYC, NumPy 2.4). Only their ratios
# matter, and only for speed: every plan finds the same pairs.
SWEEP_NS = 1.9  # compare one pair by comparing everything with everything, per 64-bit word
CANDIDATE_NS = 24.0  # gather and compare one candidate pair of the index, per first word
PROBE_NS = 2.2  # look up one key of a block under one mask
MASK_NS = 60_000.0  # start one mask
SORT_NS = 150.0  # sort one row by one block
KEY_NS = 4.0  # set up one key of a block's tables

MAX_RADIUS = 4
MAX_WIDTH = 24  # a table over all keys of a block has 2^24 entries of 4 bytes at most


@dataclass(frozen=True)
class Block:
    """A block of `width` bits in which a pair must be within `radius` bits to be looked at."""

    width: int
    radius: int


@dataclass(frozen=True)
class Plan:
    """The blocks to index and the work expected; no blocks means comparing everything with everything."""

    blocks: tuple[Block, ...]
    expected_ns: float


def choose(n: int, bits: int, distance: int, match: float = 0.5) -> Plan:
    """Choose the cheapest blocks for `n` distinct hashes of `bits` varying bits.

    `match` is the chance that one bit of two hashes is equal (0.5 for random ones). The optimum over all
    widths and radii is found by dynamic programming: `best[b]` is the least cost of spending the pigeonhole
    budget so far within b bits.
    """
    words = -(-max(bits, 1) // 64)
    sweep = Plan((), 0.5 * n * n * words * SWEEP_NS)
    budget = distance + 1
    if budget > bits:
        return sweep
    widest = min(bits, MAX_WIDTH, max(1, n.bit_length() + 3))
    options = [
        (width, radius, _block_ns(n, width, radius, match))
        for width in range(1, widest + 1)
        for radius in range(min(MAX_RADIUS, width - 1, distance) + 1)
    ]
    best = np.full((budget + 1, bits + 1), inf)
    best[0] = 0.0
    chosen = np.full((budget + 1, bits + 1), -1, dtype=np.int32)
    for spent in range(1, budget + 1):
        for index, (width, radius, cost) in enumerate(options):
            before = spent - radius - 1
            if before < 0:
                continue
            total = best[before, : bits + 1 - width] + cost
            better = total < best[spent, width:]
            best[spent, width:][better] = total[better]
            chosen[spent, width:][better] = index
    if best[budget, bits] >= sweep.expected_ns:
        return sweep
    return Plan(_trace(chosen, options, budget, bits), float(best[budget, bits]))


def _block_ns(n: int, width: int, radius: int, match: float) -> float:
    near: float = sum(comb(width, k) * match ** (width - k) * (1 - match) ** k for k in range(radius + 1))
    masks = sum(comb(width, k) for k in range(radius + 1))
    probes = masks * (MASK_NS + 0.5 * min(n, 1 << width) * PROBE_NS)
    return n * SORT_NS + (1 << width) * KEY_NS + probes + 0.5 * n * n * near * CANDIDATE_NS


def _trace(
    chosen: np.ndarray[tuple[int, int], np.dtype[np.int32]],
    options: list[tuple[int, int, float]],
    budget: int,
    bits: int,
) -> tuple[Block, ...]:
    blocks = []
    while budget > 0:
        width, radius, _ = options[chosen[budget, bits]]
        blocks.append(Block(width, radius))
        budget, bits = budget - radius - 1, bits - width
    return tuple(blocks)
