"""How long does it take to find near duplicates among many embeddings, and how far is that from bare BLAS?

The embeddings are a mixture of clusters in a cone (as image-text models make them) with near copies planted at
known cosines; they lie in a file, as a store holds them. The bound is the time of the matrix products alone:
training, assignment, and the comparisons within the clusters that were found, on random matrices of the same
shapes. Memory is the peak of a process of its own that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.ops.dedup.cosine import ALIGNED, cosine
from sluice.ops.dedup.kmeans import ITERATIONS, Clusters, partition
from sluice.ops.dedup.products import BlasProducts
from sluice.ops.dedup.vectors import BLOCK, Vectors, directions
from sluice.store.pairs import STOCK

FAISS_VECTORS_PER_CPU_S = 14_800
"""A figure for faiss on such a machine, not measured here: the one to beat."""

PLANTED = (0.999, 0.97, 0.95, 0.92, 0.9, 0.88)
"""Cosines of the near copies with their originals, in turn."""


def write_vectors(path: Path, n: int, dim: int, share: float, seed: int) -> None:
    """Write [n, dim] single-precision numbers: the last `share` of them near copies of earlier ones."""
    rng = np.random.default_rng(seed)
    cone = rng.standard_normal(dim).astype(np.float32)
    topics = unit(0.7 * unit(cone[None]) + unit(rng.standard_normal((n // 400 + 1, dim), np.float32)))
    copies = int(n * share)
    with path.open("w+b") as file:
        for start in range(0, n - copies, BLOCK):
            rows = min(BLOCK, n - copies - start)
            noise = unit(rng.standard_normal((rows, dim), np.float32))
            file.write(unit(topics[rng.integers(0, len(topics), rows)] + 0.9 * noise).data)
        file.flush()
        originals = np.memmap(path, np.float32, mode="r", shape=(n - copies, dim))
        for start in range(0, copies, BLOCK):
            drawn = originals[rng.integers(0, len(originals), min(BLOCK, copies - start))]
            file.write(near_copies(drawn, start, rng).data)


def near_copies(rows: NDArray[np.float32], start: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Vectors at the planted cosines with these unit vectors."""
    away = rng.standard_normal(rows.shape, np.float32)
    away = unit(away - (away * rows).sum(axis=1, keepdims=True) * rows)
    cosines = np.array(PLANTED, np.float32)[(start + np.arange(len(rows))) % len(PLANTED), None]
    return np.asarray(cosines * rows + np.sqrt(1 - cosines**2) * away, np.float32)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows at length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def blocks(path: Path, dim: int) -> Iterator[NDArray[np.float32]]:
    """The file, a block at a time."""
    with path.open("rb") as file:
        while data := file.read(BLOCK * dim * 4):
            yield np.frombuffer(data, np.float32).reshape(-1, dim)


def spooled(path: Path, dim: int) -> Vectors:
    """The vectors as a run has them: in a file."""
    return Vectors.spooled(blocks(path, dim), dim, path.parent)


def find(path: Path, dim: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Deduplicate in this process: seconds, processor seconds, peak memory, facts and pairs."""
    start, cpu = time.perf_counter(), time.process_time()
    pairs = cosine(spooled(path, dim), **settings)
    return {
        "seconds": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": peak_mb(),
        "facts": dict(pairs.facts),
        "near": len(pairs.within(settings["similarity"])),
        "stored": len(pairs),
    }


def peak_mb() -> float:
    """This process's peak; `ru_maxrss` would be at least the peak of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def bare(found: Clusters, n: int, dim: int) -> tuple[float, float]:
    """Seconds, and seconds of the processor, of the products alone that the clusters ask for."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((BLOCK * 2, dim), np.float32)
    centres = rows[:1].repeat(found.count, axis=0)
    sizes = np.bincount(found.nearest[:, 0], minlength=found.count)
    spilt = np.bincount(found.nearest[:, 1:][found.nearest[:, 1:] >= 0], minlength=found.count)
    start, cpu = time.perf_counter(), time.process_time()
    for total in (*[found.trained_on] * ITERATIONS, n):
        for size in _pieces(total):
            rows[:size] @ centres.T
    for own, others in zip(sizes, spilt, strict=True):
        pieces = list(_pieces(own))
        for k, size in enumerate(pieces):
            left = rows[:size]
            left @ left.T
            for other in (*pieces[k + 1 :], *_pieces(others)):
                left @ rows[-other:].T
    return time.perf_counter() - start, time.process_time() - cpu


def _pieces(total: int) -> Iterator[int]:
    for start in range(0, int(total), BLOCK):
        yield min(BLOCK, int(total) - start)


def report(found: dict[str, Any], n: int, dim: int, whole: tuple[float, float] | None = None) -> None:
    """Print a line a figure."""
    embeddings = n * dim * 4 / 2**20
    print(f"  seconds              {found['seconds']:.2f} ({found['cpu_s']:.2f} of the processor)")
    print(f"  vectors a CPU-second {n / found['cpu_s']:,.0f} (faiss: {FAISS_VECTORS_PER_CPU_S:,})")
    if whole:
        wall, cpu = whole
        print(f"  bare products        {wall:.2f} seconds ({cpu:.2f} of the processor)")
        print(
            f"  against them         {found['seconds'] / wall:.2f} × ({found['cpu_s'] / cpu:.2f} × the processor)"
        )
    print(f"  pairs                {found['near']:,} near, {found['stored']:,} stored; {found['facts']}")
    print(
        f"  peak memory          {found['peak_mb']:.0f} MB, {found['peak_mb'] / embeddings:.2f} × the embeddings"
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200_000, help="vectors")
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--similarity", type=float, default=0.9)
    parser.add_argument("--copies", type=float, default=0.3, help="share of near copies")
    parser.add_argument("--exact", type=int, default=0, help="also compare so many of them exactly")
    parser.add_argument("--find", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.find:
        path, settings = json.loads(options.find)
        print(json.dumps(find(Path(path), options.dim, settings)))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, NumPy {np.__version__}")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "vectors.f32"
        write_vectors(path, options.n, options.dim, options.copies, seed=0)
        print(f"{options.n:,} × {options.dim} vectors, cosine ≥ {options.similarity}, in clusters")
        floor = options.similarity - STOCK
        settings = {"similarity": options.similarity, "floor": floor, "exact_below": 0}
        for trials in (0, 300):
            found = apart(path, options.dim, {**settings, "trials": trials})
            whole = None if trials else bare(_clusters(path, options), options.n, options.dim)
            print(" without the certificate" if not trials else " with the certificate")
            report(found, options.n, options.dim, whole)
        if options.exact:
            with path.open("r+b") as file:
                file.truncate(options.exact * options.dim * 4)
            print(f"{options.exact:,} of them, exactly")
            exact = apart(path, options.dim, {"similarity": options.similarity, "exact_below": options.exact})
            report(exact, options.exact, options.dim)


def _clusters(path: Path, options: argparse.Namespace) -> Clusters:
    of = directions(spooled(path, options.dim))
    reach = ALIGNED * (2 - 2 * (options.similarity - STOCK)) ** 0.5
    return partition(of, of.distinct, BlasProducts(), spill=8, reach=reach)


def apart(path: Path, dim: int, settings: dict[str, Any]) -> dict[str, Any]:
    """`find` in a process of its own."""
    command = [sys.executable, __file__, "--dim", str(dim), "--find", json.dumps([str(path), settings])]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


if __name__ == "__main__":
    main()
