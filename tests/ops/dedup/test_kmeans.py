"""Spherical k-means: clusters that are there are found, and nothing but the vectors and the seed decides them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sluice.ops.dedup.cosine import centroid_cosines
from sluice.ops.dedup.kmeans import cluster, default_count, partition
from sluice.ops.dedup.products import BlasProducts
from sluice.ops.dedup.vectors import Vectors, directions


def bundles(seed: int, count: int, each: int, dim: int = 24) -> NDArray[np.float32]:
    """`each` vectors near each of `count` directions at right angles, of very different lengths."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.normal(size=(dim, dim)))[0][:count].repeat(each, axis=0)
    vectors = centres + rng.normal(size=(count * each, dim)) * 0.02
    return (vectors * 10.0 ** rng.integers(-3, 4, (count * each, 1))).astype(np.float32)


def test_the_default_is_the_square_root() -> None:
    assert [default_count(n) for n in (0, 1, 3, 4, 200_000, 10_000_000)] == [1, 1, 1, 2, 447, 3162]


def test_no_cluster_mixes_bundles() -> None:
    labels = cluster(bundles(0, 5, 60), 30, seed=3).reshape(5, 60)
    assert sum(len(set(row)) for row in labels.tolist()) == len(set(labels.ravel())) == 30


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 120), st.integers(1, 30), st.integers(0, 9))
def test_only_the_vectors_and_the_seed_decide(seed: int, n: int, clusters: int, own: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-3, 4, (n, 3)).astype(np.float32)  # many equal, many ties
    labels = cluster(vectors, clusters, seed=own)
    moved = rng.permutation(n)
    assert np.array_equal(cluster(vectors[moved], clusters, seed=own), labels[moved])
    assert ((labels >= 0) == vectors.any(axis=1)).all()
    assert labels.max(initial=-1) < min(clusters, n)


def test_products_on_the_grid_are_exact() -> None:
    vectors = np.random.default_rng(1).normal(size=(300, 768)).astype(np.float32)
    of = directions(Vectors(vectors))
    found = partition(of, of.distinct, BlasProducts(), count=12, spill=11, reach=4)
    grid = np.rint(vectors.astype(np.float64) * (4000 / of.norms)[:, None])
    product = BlasProducts().nearest(grid.astype(np.float32), grid[:12].astype(np.float32), 12)
    whole = grid @ grid[:12].T  # whole numbers below 2^53: exact in double precision
    assert np.array_equal(product[1], -np.sort(-whole, axis=1))
    assert np.array_equal(product[0], np.argsort(-whole, axis=1, kind="stable"))
    assert np.array_equal(np.sort(found.nearest, axis=1), np.tile(np.arange(12), (300, 1)))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.floats(0.05, 1.5))
def test_of_two_near_vectors_one_is_given_the_cluster_of_the_other(seed: int, reach: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(150, 4)).astype(np.float32)
    of = directions(Vectors(vectors))
    found = partition(of, of.distinct, BlasProducts(), count=9, spill=8, reach=reach)
    units = of.units(of.distinct).astype(np.float64)
    apart = np.linalg.norm(units[:, None] - units, axis=2)
    for a, b in zip(*np.nonzero(apart <= reach - 0.01), strict=True):  # the grid moves directions a little
        assert found.nearest[b, 0] in found.nearest[a] or found.nearest[a, 0] in found.nearest[b]


def test_distances_from_the_centroid() -> None:
    vectors = np.array([[4, 1], [4, -1], [4, 0], [0, 0], [4, 1], [np.nan, 1]], np.float32)
    found = centroid_cosines(vectors, clusters=1)
    aside = 4 / math.sqrt(17)
    assert found == pytest.approx([aside, aside, 1, np.nan, aside, np.nan], abs=1e-3, nan_ok=True)
    assert np.isnan(centroid_cosines(np.zeros((2, 3), np.float32))).all()
