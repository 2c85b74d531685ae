"""Cosine pairs: known values, all pairs in double precision, blocks that change nothing, hostile vectors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sluice.errors import UsageError
from sluice.ops.dedup.collect import Found
from sluice.ops.dedup.compare import Comparison
from sluice.ops.dedup.cosine import cosine
from sluice.ops.dedup.pairs import Pairs
from sluice.ops.dedup.products import BlasProducts
from sluice.ops.dedup.vectors import Vectors, directions

KNOWN = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12], [1, 2, 3], [1, 2, 3]], np.float32)


def scores(pairs: Pairs) -> dict[tuple[int, int], float]:
    return dict(zip(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True), pairs.score.tolist(), strict=True))


def random_vectors(seed: int, n: int, dim: int) -> NDArray[np.float32]:
    """Vectors around a few directions, some of them copies, a few zero or not finite."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, dim))
    vectors = centres[rng.integers(0, 3, n)] + rng.normal(size=(n, dim)) * rng.choice([0, 0.01, 0.5], (n, 1))
    vectors *= 10.0 ** rng.integers(-20, 15, (n, 1))
    vectors[rng.random(n) < 0.05] = 0
    vectors[rng.random(n) < 0.05, 0] = rng.choice([np.nan, np.inf, -np.inf])
    return vectors.astype(np.float32)


def reference(vectors: NDArray[np.float32], similarity: float) -> dict[tuple[int, int], float]:
    wide = vectors.astype(np.float64)
    found = {}
    usable = np.flatnonzero(np.isfinite(wide).all(axis=1) & wide.any(axis=1)).tolist()
    for a in usable:
        for b in (row for row in usable if row > a):
            norms = np.linalg.norm(wide[a]) * np.linalg.norm(wide[b])
            score = 1.0 if (vectors[a] == vectors[b]).all() else float(wide[a] @ wide[b] / norms)
            found[a, b] = score
    return {pair: score for pair, score in found.items() if score >= similarity}


def closure(pairs: Pairs, n: int) -> dict[tuple[int, int], float]:
    centre = np.arange(n)
    centre[pairs.b[pairs.identical]] = pairs.a[pairs.identical]
    near = scores(pairs)
    whole = {}
    for a in range(n):
        for b in range(a + 1, n):
            one, two = sorted((int(centre[a]), int(centre[b])))
            if one == two:
                whole[a, b] = 1.0
            elif (one, two) in near:
                whole[a, b] = near[one, two]
    return whole


def test_known_values() -> None:
    everything = closure(cosine(KNOWN, similarity=-1), len(KNOWN))
    highest = [max((everything[a, b] for a in range(b)), default=0.0) for b in range(len(KNOWN))]
    assert highest == pytest.approx([0, 0.974632, 0.998191, 0.999618, 1, 1], abs=1e-6)
    assert highest[4:] == [1.0, 1.0]


def test_the_bound_is_inclusive() -> None:
    vectors = np.array([[1, 0], [3, 4]], np.float32)  # cosine 0.6
    assert scores(cosine(vectors, similarity=0.6)) == {(0, 1): np.float32(0.6)}
    assert not len(cosine(vectors, similarity=0.6001))


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 2**32), st.integers(0, 25), st.integers(1, 40), st.sampled_from([-1, 0, 0.5, 0.9, 0.999])
)
def test_finds_the_pairs_of_double_precision(seed: int, n: int, dim: int, similarity: float) -> None:
    vectors = random_vectors(seed, n, dim)
    pairs = cosine(vectors, similarity=similarity)
    found = closure(pairs, n)
    surely, at_most = reference(vectors, similarity + 1e-6), reference(vectors, similarity - 1e-6)
    assert surely.keys() <= found.keys() <= at_most.keys()
    assert found == pytest.approx({pair: at_most[pair] for pair in found}, abs=1e-6)
    bad = ~np.isfinite(vectors).all(axis=1) | ~vectors.any(axis=1)
    assert pairs.unmatched == bad.sum()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(2, 60), st.integers(1, 70), st.integers(1, 70))
def test_blocks_change_neither_scores_nor_decisions(seed: int, n: int, dim: int, block: int) -> None:
    vectors = random_vectors(seed, n, dim)
    vectors = vectors[np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)]
    results = []
    for size in (block, 4096):
        found = Found("")
        of = directions(Vectors(vectors))
        Comparison(of, 0.99, found, BlasProducts(), size).within(of.distinct)
        results.append(sorted(zip(*(column.tolist() for column in found.columns()), strict=True)))
    assert results[0] == results[1]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.integers(2, 30), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(seed: int, n: int, random) -> None:
    vectors = random_vectors(seed, n, 16)
    moved = list(range(n))
    random.shuffle(moved)
    there = closure(cosine(vectors[moved], similarity=0.9), n)
    back = {(min(moved[a], moved[b]), max(moved[a], moved[b])): score for (a, b), score in there.items()}
    assert back == closure(cosine(vectors, similarity=0.9), n)


def test_arrow_columns_with_nulls() -> None:
    values = [[9.0, 9.0], [1.0, 2.0], None, [1.0, None], [2.0, 4.0], [0.0, 0.0], [1.0, 2.0]]
    for kind in (pa.float16(), pa.float32(), pa.float64()):
        column = pa.array(values, pa.list_(kind, 2)).slice(1)
        for form in (column, pa.chunked_array([column.slice(0, 2), column.slice(2)])):
            pairs = cosine(form, similarity=0.99)
            assert scores(pairs) == {(0, 3): 1.0, (0, 5): 1.0}
            assert pairs.identical.tolist() == [False, True]
            assert pairs.unmatched == 3


def test_copies_make_a_star() -> None:
    assert len(cosine(np.ones((5000, 8), np.float32), similarity=0.9)) == 4999


def test_an_empty_column() -> None:
    assert not len(cosine(np.empty((0, 4), np.float32), similarity=0.9))


@pytest.mark.parametrize("vectors", [np.zeros(3, np.float32), pa.array([[1.0], [1.0, 2.0]])])
def test_other_columns_are_refused(vectors: object) -> None:
    with pytest.raises(UsageError):
        cosine(vectors, similarity=0.9)
