"""Spherical k-means, so that only vectors that point roughly the same way need be compared."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sluice.ops.dedup.collect import Rows
from sluice.ops.dedup.products import DeviceName, Products, products_on
from sluice.ops.dedup.vectors import BLOCK, Column, Directions, directions, lengthened, vectors_of

ITERATIONS = 10
"""Rounds of training at most; as many as faiss gives the clusters of its inverted files."""

TRAINED_ON = 40
"""Vectors a cluster in the sample that is trained on; faiss warns below 39."""

_GRID = 4000.0
# Directions are rounded to a grid of 1/4000: whole numbers, of length at most 4000 + √dim / 2. By Cauchy and
# Schwarz every partial sum of a product of two is then at most 2^24 (up to 36,000 dimensions), where single
# precision still holds every whole number: products are exact, and clusters the same for any order of
# summation, block, number of threads and device. The rounding moves a direction of 768 numbers by 0.002.


@dataclass(frozen=True)
class Clusters:
    """Where each of m rows lies among k clusters."""

    rows: Rows
    """[m] the rows that were clustered, ascending."""
    nearest: NDArray[np.int32]
    """[m, 1 + spill] its own cluster, then the others it is also compared with, nearest first; -1: no more."""
    cosine: NDArray[np.float32]
    """[m] with the centroid of its own cluster."""
    count: int
    trained_on: int


def cluster(
    vectors: Column, clusters: int | None = None, *, seed: int = 0, device: DeviceName = "auto"
) -> NDArray[np.int64]:
    """[n] the cluster of each vector, from 0; -1 where it has no direction (zero, not finite).

    Equal for equal vectors and seeds, whatever the order of the rows, the number of threads and the device.
    """
    of = directions(vectors_of(vectors), seed)
    labels = np.full(len(of.first), -1, np.int64)
    if len(of.distinct):
        found = partition(of, of.distinct, products_on(device), count=clusters)
        labels[found.rows] = found.nearest[:, 0]
        usable = of.first >= 0
        labels[usable] = labels[of.first[usable]]
    return labels


def default_count(vectors: int) -> int:
    """The number of clusters for so many vectors: their square root.

    Assigning costs n · k products and comparing about n² / k: they balance there, as in an inverted file.
    """
    return max(1, math.isqrt(vectors))


def partition(
    of: Directions,
    rows: Rows,
    products: Products,
    *,
    count: int | None = None,
    spill: int = 0,
    reach: float = 2.0,
) -> Clusters:
    """Cluster rows (all with a direction, no two the same), and give each its nearest few clusters.

    Trained on a sample: the `TRAINED_ON` · count rows of least luck. A row gets at most `spill` clusters
    beside its own, and those only to whose centroid it is nearly as near as to its own: with u the unit
    centroids, x · u_own - x · u_other ≤ `reach` / 2 · |u_own - u_other|. If two rows are at most `reach` apart
    (|x - y|) and belong to different clusters, the sum of their two differences is at most `reach` ·
    |u_own - u_other|, so that at least one of them is given the other's cluster, unless `spill` cuts it off.
    """
    count = min(count or default_count(len(rows)), max(1, len(rows)))
    drawn = rows[np.argsort(of.luck[rows], kind="stable")[: TRAINED_ON * count]]
    centroids = _trained(_on_grid(of, drawn), count, products)
    nearest = np.full((len(rows), min(spill, count - 1) + 1), -1, np.int32)
    cosine = np.empty(len(rows), np.float32)
    lengths, held = _lengths(centroids), products.hold(centroids)
    apart = _distances(centroids, lengths)
    # In products on the grid, with something to spare for lengths that rounding changed.
    slack = reach / 2 * float(apart.max()) * _GRID**2 * 1.1 + 2 * _GRID * math.sqrt(of.vectors.dim)
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        grid = _on_grid(of, rows[part])
        which, product = products.nearest(products.hold(grid), held, nearest.shape[1], slack)
        near = product / (_lengths(grid)[:, None] * lengths[which])
        close = near[:, :1] - near <= reach / 2 * apart[which[:, :1], which]
        nearest[part] = np.where(close, which, -1)
        cosine[part] = near[:, 0]
    return Clusters(rows, nearest, cosine, count, len(drawn))


def _on_grid(of: Directions, rows: Rows) -> NDArray[np.float32]:
    return np.rint(lengthened(of.vectors.take(rows), _GRID / of.norms[rows]))


def _lengths(grid: NDArray[np.float32]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.sqrt((grid.astype(np.float64) ** 2).sum(axis=1))
    return lengths


def _distances(grid: NDArray[np.float32], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """[k, k] how far apart the ends of unit vectors in these directions are."""
    cosines = (grid @ grid.T) / np.outer(lengths, lengths)
    distances: NDArray[np.float64] = np.sqrt((2 - 2 * cosines).clip(0))
    return distances


def _trained(sample: NDArray[np.float32], count: int, products: Products) -> NDArray[np.float32]:
    """Lloyd's rounds on the sample, begun at its first rows; a centroid that nobody is near moves to the row
    that fits its own centroid worst."""
    held = products.hold(sample)
    centroids = sample[:count].copy()
    before: NDArray[np.int64] | None = None
    for _ in range(ITERATIONS):
        which, product = _own(held, products.hold(centroids), len(sample), products)
        if before is not None and np.array_equal(which, before):
            break
        before = which
        order = np.argsort(which, kind="stable")
        ends = np.searchsorted(which[order], np.arange(count + 1))
        worst = iter(np.argsort(product, kind="stable"))
        for c in range(count):
            members = order[ends[c] : ends[c + 1]]
            # A sum of whole numbers in double precision is exact, whatever its order.
            total = sample[members].sum(axis=0, dtype=np.float64)
            length = math.sqrt(float((total * total).sum()))
            centroids[c] = np.rint(total * (_GRID / length)) if length else sample[next(worst)]
    return centroids


def _own(
    sample: object, centroids: object, rows: int, products: Products
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Each row's nearest centroid and their product."""
    found = [
        products.nearest(sample[start : start + BLOCK], centroids, 1)  # type: ignore[index]  # an array or tensor
        for start in range(0, rows, BLOCK)
    ]
    return np.concatenate([w[:, 0] for w, _ in found]), np.concatenate([p[:, 0] for _, p in found])
