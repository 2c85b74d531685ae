"""Which samples point in nearly the same direction of an embedding?"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sluice.errors import UsageError
from sluice.operator import deduplicator
from sluice.ops.dedup.certificate import certify
from sluice.ops.dedup.checkpoints import Checkpoints, Forgetful
from sluice.ops.dedup.collect import PAIRS_LIMIT, Found, Rows
from sluice.ops.dedup.compare import Comparison
from sluice.ops.dedup.kmeans import Clusters, partition
from sluice.ops.dedup.pairs import Pairs, assemble
from sluice.ops.dedup.products import DeviceName, Products, products_on
from sluice.ops.dedup.vectors import Column, Directions, directions, vectors_of

ALIGNED = 0.5
"""How much of the way between two near vectors is taken to lie along the line between two centroids: all of it could,
but then every vector of an embedding would be compared with the few clusters that are near to all."""

PARTS = 64
"""Pieces of the work that are kept when they are done."""

_FIX = "raise `similarity`, or drop nearly uniform images before this step"


@deduplicator(version=2, by="vector")
def cosine(
    vectors: Column,
    checkpoints: Checkpoints | None = None,
    *,
    similarity: Annotated[float, Field(ge=-1, le=1)],
    floor: Annotated[float | None, Field(ge=-1, le=1)] = None,
    exact_below: Annotated[int, Field(ge=0)] = 100_000,
    clusters: Annotated[int | None, Field(ge=1)] = None,
    spill: Annotated[int, Field(ge=0)] = 8,
    trials: Annotated[int, Field(ge=0)] = 300,
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0,
    device: DeviceName = "auto",
) -> Pairs:
    """All pairs of vectors whose cosine is at least `similarity`; the score is the cosine.

    `vectors` is an Arrow column of fixed-size lists, an array [n, dim], or `Vectors`. Equal vectors are star
    pairs of score 1 (see `Pairs`). Null vectors, and zero ones or those with a number that is not finite,
    match nothing and are counted. With `floor` farther pairs are given too, down to it, unless they are more
    than 50 million; a run stores them so (by default down to `similarity` - 0.05), for other thresholds.

    Up to `exact_below` different vectors every pair is compared: n² / 2 · dim multiplications. Beyond that
    spherical k-means on a sample makes `clusters` (default: the square root of n), and a vector is compared
    with those of its own cluster and, where it lies near a border, of up to `spill` others (as SemDeDup,
    Abbas et al., 2023, arXiv:2303.09540, but neighbours across a border are seen). A recall certificate says
    how much that hides: random vectors are compared with all others, until `trials` have a true neighbour
    (or 20,480 are drawn), and the Clopper-Pearson bound of 95 % is given; 0 turns it off.

    Products are made in single precision, in blocks, on `device`, and those near the bound again in double:
    for one `seed` neither pairs nor scores depend on the order of the rows, blocks, threads or the device.

    Known values: (1,2,3), (4,5,6), (7,8,9), (10,11,12) have at most 0, .974632, .998191, .999618 with the
    earlier ones of them.
    """
    least = similarity if floor is None else floor
    if least > similarity:
        raise UsageError(
            f"`floor` ({least:g}) lies above `similarity` ({similarity:g})", fix="leave it out, or lower it"
        )
    of = directions(vectors_of(vectors), seed)
    rows, products = of.distinct, products_on(device)
    comparison = Comparison(of, least, Found(_FIX, PAIRS_LIMIT, similarity), products)
    facts: dict[str, Any] = {"vectors": len(of.first), "distinct": len(rows)}
    if len(rows) <= exact_below:
        comparison.within(rows)
        facts["method"] = "exact"
    else:
        keep = checkpoints or Forgetful()
        reach = ALIGNED * math.sqrt(2 - 2 * least)
        found = _clustered(of, rows, products, clusters, spill, reach, keep)
        _compare_clusters(comparison, found, keep)
        facts |= {"method": "clusters", "clusters": found.count, "spill": spill}
        facts["trained_on"] = found.trained_on
    a, b, score = comparison.found.columns()
    facts["compared"] = comparison.found.compared
    if facts["method"] == "clusters" and trials:
        facts["certificate"] = certify(of, rows, similarity, (a, b), products, trials=trials)
    return assemble(
        "cosine",
        of.first,
        a,
        b,
        score,
        bound=max(least, comparison.found.floor),
        complete=facts["method"] == "exact",
        facts=facts,
    )


def centroid_cosines(
    vectors: Column, *, clusters: int | None = None, seed: int = 0, device: DeviceName = "auto"
) -> NDArray[np.float32]:
    """[n] the cosine of each vector with the centroid of its cluster, NaN where it has no direction.

    The clusters are those that `cosine` makes of the same vectors with the same settings.
    """
    of = directions(vectors_of(vectors), seed)
    result = np.full(len(of.first), np.nan, np.float32)
    if len(of.distinct):
        found = partition(of, of.distinct, products_on(device), count=clusters)
        result[found.rows] = found.cosine
        usable = of.first >= 0
        result[usable] = result[of.first[usable]]
    return result


def _clustered(
    of: Directions,
    rows: Rows,
    products: Products,
    count: int | None,
    spill: int,
    reach: float,
    checkpoints: Checkpoints,
) -> Clusters:
    known = checkpoints.load("clusters")
    if known is not None:
        columns, facts = known
        nearest: Any = columns["nearest"]
        cosines: Any = columns["cosine"]
        return Clusters(rows, nearest, cosines, facts["count"], facts["trained_on"])
    found = partition(of, rows, products, count=count, spill=spill, reach=reach)
    facts = {"count": found.count, "trained_on": found.trained_on}
    checkpoints.save("clusters", {"nearest": found.nearest, "cosine": found.cosine}, facts)
    return found


def _compare_clusters(comparison: Comparison, clusters: Clusters, checkpoints: Checkpoints) -> None:
    """Compare the members of each cluster with each other and with those that spill into it, part by part."""
    work = _Members(clusters)
    for number in range(PARTS):
        name = f"part-{number:02d}"
        done: Any = checkpoints.load(name)
        if done is None:
            part = comparison.afresh()
            for own in range(number, clusters.count, PARTS):  # one at a time: BLAS uses all cores for each
                work.compare(part, own)
            a, b, score = part.found.columns()
            about = {"compared": part.found.compared, "floor": max(part.found.floor, -1.0)}
            done = {"a": a, "b": b, "score": score}, about
            checkpoints.save(name, *done)
        columns, facts = done
        found: Any = (columns["a"], columns["b"], columns["score"])
        comparison.found.take_over(found, facts["compared"], facts["floor"])


class _Members:
    """The rows of each cluster, and those that spill into it."""

    def __init__(self, clusters: Clusters) -> None:
        self.of = clusters
        self._own, self._own_end = _by_cluster(clusters.rows, clusters.nearest[:, 0], clusters.count)
        others = clusters.nearest[:, 1:]
        row, column = np.nonzero(others >= 0)
        self._spilt, self._spilt_end = _by_cluster(clusters.rows[row], others[row, column], clusters.count)

    def compare(self, comparison: Comparison, number: int) -> None:
        own = self._own[self._own_end[number] : self._own_end[number + 1]]
        comparison.within(own)
        spilt = self._spilt[self._spilt_end[number] : self._spilt_end[number + 1]]
        if len(own) and len(spilt):
            comparison.between(own, spilt, lambda a, b: ~self._met_before(a, b, number))

    def _met_before(self, a: Rows, b: Rows, number: int) -> NDArray[np.bool_]:
        """Whether the pair is found in the cluster of b as well, and that one comes first."""
        home = self.of.nearest[np.searchsorted(self.of.rows, b), 0]
        others = self.of.nearest[np.searchsorted(self.of.rows, a), 1:]
        met: NDArray[np.bool_] = (home < number) & (others == home[:, None]).any(axis=1)
        return met


def _by_cluster(rows: Rows, of: NDArray[np.int32], count: int) -> tuple[Rows, Rows]:
    """The rows sorted by their cluster, and where each cluster begins among them."""
    order = np.argsort(of, kind="stable")
    return rows[order], np.searchsorted(of[order], np.arange(count + 1))
