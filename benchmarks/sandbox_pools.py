"""How long does it take to draw pools from millions of samples, and how far is that from reading their columns?

The limit is what NumPy needs to find the two cuts of each measure (one partition each) and Arrow to take the ids of
all pools. Media play no part: a pool is a column of ids. Each size is measured in a process of its own, for its peak
memory.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sluice.sandbox.pools import Pool, lattice, single_pools, tertiles


def samples(count: int, measures: int, seed: int) -> tuple[pa.Array, dict[str, NDArray[np.float64]]]:
    """Ids as runs name samples, and measures of which 1 % are missing."""
    rng = np.random.default_rng(seed)
    digits = np.frombuffer(rng.bytes(count * 16).hex().encode(), np.uint8)
    offsets = np.arange(0, 32 * (count + 1), 32, dtype=np.int64)
    ids = pa.Array.from_buffers(
        pa.large_string(), count, [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(digits.tobytes())]
    )
    values = {f"m{n}": rng.lognormal(size=count) for n in range(measures)}
    for column in values.values():
        column[rng.random(count) < 0.01] = np.nan
    return ids, values


def measured(count: int, measures: int, seed: int) -> None:
    """Draw all pools once, and print how long each part took and the limit beside it."""
    ids, values = samples(count, measures, seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    pools = single_pools(ids, values, seed=seed)
    single = time.perf_counter() - start
    start = time.perf_counter()
    grid = lattice(count, {name: tertiles(column).high for name, column in values.items()})
    members = [grid.members(names) for names in grid.combinations()]
    together = time.perf_counter() - start
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for pool in pools:
            pool.write(Path(folder) / f"{pool.name}.parquet")
        written = sum(path.stat().st_size for path in Path(folder).iterdir())
    writing = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    limit = bare(ids, values, pools)
    columns = (ids.nbytes + sum(column.nbytes for column in values.values())) / 1e6
    print(f"{count:,} samples, {measures} measures ({columns:.0f} MB of ids and columns)")
    print(
        f"  {len(pools)} single pools     {single:.2f} s, "
        f"bare partitions and takes {limit:.2f} s ({limit / single:.2f})"
    )
    print(f"  {len(members)} of the lattice    {together:.2f} s")
    print(f"  writing            {writing:.2f} s, {written / 1e6:.0f} MB of ids, no media")
    print(f"  peak memory        {peak / 1024:.0f} MB ({before / 1024:.0f} MB with the columns alone)")


def bare(ids: pa.Array, values: dict[str, NDArray[np.float64]], pools: list[Pool]) -> float:
    """Seconds of the two cuts of each measure, and of taking as many ids as the pools have."""
    rng = np.random.default_rng(0)
    places = [np.sort(rng.integers(0, len(ids), len(pool))) for pool in pools]
    start = time.perf_counter()
    for column in values.values():
        found = column[~np.isnan(column)]
        np.partition(found, [len(found) // 3, 2 * len(found) // 3])
    for chosen in places:
        ids.take(pa.array(chosen))
    return time.perf_counter() - start


def main() -> None:
    """Run and print one block a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--n", type=int, default=1_000_000, help="samples; ten times as many are measured too"
    )
    parser.add_argument("--measures", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", action="store_true", help="measure this size alone, in this process")
    options = parser.parse_args()
    if options.one:
        measured(options.n, options.measures, options.seed)
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, NumPy {np.__version__}", flush=True)
    for count in (options.n, 10 * options.n):
        command = [sys.executable, __file__, "--one", "--n", str(count), "--measures", str(options.measures)]
        subprocess.run([*command, "--seed", str(options.seed)], check=True)


if __name__ == "__main__":
    main()
