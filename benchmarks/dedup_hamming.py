"""How long does it take to find every near pair among many hashes, and how far is that from the limit?

The limit is what this machine needs to compare one pair of hashes, times the pairs: the index must beat it
by making far fewer comparisons. Near pairs are planted at 1 to `--distance` flipped bits, and counted
afterwards.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import time

import numpy as np
from numpy.typing import NDArray

from sluice.ops.dedup.collect import Found
from sluice.ops.dedup.hamming import hamming
from sluice.ops.dedup.radius_join import near_pairs
from sluice.ops.dedup.radius_plan import Plan, choose


def planted(n: int, words: int, distance: int, seed: int) -> tuple[NDArray[np.uint64], set[tuple[int, int]]]:
    """Random hashes [n, words], 1 % of them another one with up to `distance` bits flipped."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, (n, words), dtype=np.uint64)
    rows = rng.choice(n, 2 * (n // 100), replace=False)
    source, copy = rows[: n // 100], rows[n // 100 :]
    hashes[copy] = hashes[source]
    for row in copy:
        for bit in rng.choice(words * 64, int(rng.integers(1, distance + 1)), replace=False):
            hashes[row, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    pairs = zip(np.minimum(source, copy).tolist(), np.maximum(source, copy).tolist(), strict=True)
    return hashes, set(pairs)


def sweep_rate(words: int, distance: int, seed: int) -> float:
    """Pairs a second that one thread compares when it compares everything with everything."""
    hashes = np.random.default_rng(seed).integers(0, 2**64, (12_000, words), dtype=np.uint64)
    start = time.perf_counter()
    near_pairs(hashes, distance, Found(""), threads=1, plan=Plan((), 0.0))
    return len(hashes) ** 2 / 2 / (time.perf_counter() - start)


def main() -> None:
    """Run and print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000, help="hashes")
    parser.add_argument("--distance", type=int, default=6, help="bits")
    parser.add_argument("--bits", type=int, default=64, help="width of a hash, a multiple of 64")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    words = options.bits // 64
    hashes, expected = planted(options.n, words, options.distance, options.seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    pairs = hamming(hashes, distance=options.distance)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    work = Found("")
    near_pairs(hashes, options.distance, work, threads=1)
    single = time.perf_counter() - start
    found = set(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))
    rate = sweep_rate(words, options.distance, options.seed)
    all_pairs = options.n**2 / 2
    plan = choose(options.n, options.bits, options.distance)
    print(f"machine                {platform.machine()}, {os.cpu_count()} cores, NumPy {np.__version__}")
    print(f"hashes                 {options.n:,} of {options.bits} bits, distance ≤ {options.distance}")
    print(f"blocks (width, radius) {[(block.width, block.radius) for block in plan.blocks] or 'none'}")
    print(f"seconds                {seconds:.2f} ({single:.2f} with one thread)")
    print(f"pairs found            {len(pairs):,}")
    print(f"planted pairs found    {len(expected & found):,} of {len(expected):,}")
    print(f"peak memory            {peak / 1024:.0f} MB ({before / 1024:.0f} MB before)")
    print(
        f"candidates             {work.compared:,} compared: {work.compared / single:.3g} a second and thread"
    )
    print(f"pairs decided          {all_pairs / seconds:.3g} a second")
    print(f"comparing everything   {rate:.3g} a second and thread: {all_pairs / rate:.0f} s on one")
    print(f"against that           {all_pairs / rate / single:.0f} × faster on one thread")
    if not expected <= found:
        raise SystemExit("a planted pair was missed")


if __name__ == "__main__":
    main()
