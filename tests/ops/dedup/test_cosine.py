"""Cosine pairs: known values, all pairs in double precision, blocks that change nothing, clusters, hostile vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sluice.errors import MissingError, RunError, UsageError
from sluice.ops.dedup.collect import Found
from sluice.ops.dedup.compare import Comparison
from sluice.ops.dedup.cosine import cosine
from sluice.ops.dedup.kmeans import partition
from sluice.ops.dedup.pairs import Pairs, assemble
from sluice.ops.dedup.products import BlasProducts, TorchProducts, products_on
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


# In clusters.


def planted(seed: int, n: int, dim: int = 32) -> NDArray[np.float32]:
    """Directions without any structure, every fourth a near copy (cosine 0.85 to 1) of an earlier one."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for row in range(4, n, 4):
        vectors[row] = vectors[rng.integers(0, row)] + rng.normal(size=dim) * rng.uniform(0, 0.1)
    return vectors.astype(np.float32)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.integers(2, 300), st.integers(1, 20), st.integers(0, 5))
def test_clusters_hide_pairs_but_make_none_up(seed: int, n: int, clusters: int, spill: int) -> None:
    vectors = random_vectors(seed, n, 16)
    everything = cosine(vectors, similarity=0.9)
    some = cosine(vectors, similarity=0.9, exact_below=0, clusters=clusters, spill=spill, trials=0)
    assert scores(some).items() <= scores(everything).items()
    assert (some.unmatched, some.complete, everything.complete) == (everything.unmatched, False, True)
    assert sorted(some.a[some.identical]) == sorted(everything.a[everything.identical])


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32), st.integers(2, 200), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_cluster(seed: int, n: int, random) -> None:
    vectors = planted(seed, n)
    vectors[:: max(2, n // 3)] = vectors[0]
    moved = list(range(n))
    random.shuffle(moved)
    options = {"similarity": 0.9, "exact_below": 0, "clusters": 7, "spill": 1}
    there = cosine(vectors[moved], **options)
    back = {(min(moved[a], moved[b]), max(moved[a], moved[b])): s for (a, b), s in closure(there, n).items()}
    here = cosine(vectors, **options)
    assert back == closure(here, n)
    assert there.facts == here.facts


def test_planted_copies_are_found_and_certified() -> None:
    vectors = planted(3, 3000)
    everything = cosine(vectors, similarity=0.9)
    found = cosine(vectors, similarity=0.9, exact_below=2999)
    assert found.facts["method"] == "clusters"
    assert (found.facts["clusters"], found.facts["trained_on"]) == (54, 40 * 54)
    assert found.facts["compared"] < everything.facts["compared"] / 3
    certificate = found.facts["certificate"]
    assert certificate["trials"] >= 300
    assert len(found) >= 0.98 * len(everything)
    assert 0.95 < certificate["recall_at_least"] < 1


def test_torch_finds_the_very_same() -> None:
    torch = pytest.importorskip("torch")
    vectors = planted(5, 1200)
    of = directions(Vectors(vectors))
    results = []
    for products in (BlasProducts(), TorchProducts("cpu")):
        clusters = partition(of, of.distinct, products, spill=2, reach=0.5)
        comparison = Comparison(of, 0.9, Found(""), products, 100)
        comparison.within(of.distinct)
        results.append((clusters, scores(assemble("cosine", of.first, *comparison.found.columns()))))
    (ours, near), (theirs, also_near) = results
    assert np.array_equal(ours.nearest, theirs.nearest)
    assert np.array_equal(ours.cosine, theirs.cosine)
    assert near == also_near
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(UsageError, match="less than that"):
            TorchProducts("cpu")
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_gpu_that_is_not_there_is_asked_for_in_vain() -> None:
    if products_on("auto").__class__ is not BlasProducts:
        pytest.skip("this machine has a GPU")
    with pytest.raises(MissingError, match=r"CUDA|torch"):
        cosine(KNOWN, similarity=0.9, device="cuda")


@pytest.mark.parametrize(
    "vectors",
    [
        np.empty((0, 4), np.float32),
        np.ones((1, 4), np.float32),
        np.ones((50, 4), np.float32),
        np.zeros((9, 4), np.float32),
        np.full((9, 4), np.nan, np.float32),
        np.eye(5, dtype=np.float32),
        np.concatenate([np.eye(4, dtype=np.float32), -np.eye(4, dtype=np.float32)]),
        np.array([[1e-45, 0], [2e-45, 0], [3e38, 3e38], [1e38, 1e38]], np.float32),
    ],
)
def test_degenerate_inputs_in_clusters(vectors: NDArray[np.float32]) -> None:
    exact = cosine(vectors, similarity=0.9)
    few = cosine(vectors, similarity=0.9, exact_below=0, clusters=99)
    assert (few.unmatched, len(few)) == (exact.unmatched, len(exact))
    assert scores(few) == scores(exact)


def test_vectors_in_a_file_are_those_in_memory(tmp_path: Path) -> None:
    vectors = planted(1, 500)
    spooled = Vectors.spooled(iter([vectors[:7], vectors[7:]]), 32, tmp_path)
    assert list(tmp_path.iterdir()) == []  # it has no name: nothing is left, however this process ends
    options = {"similarity": 0.9, "exact_below": 0}
    assert scores(cosine(spooled, **options)) == scores(cosine(vectors, **options))
    assert len(Vectors.spooled(iter([]), 32)) == 0


def test_farther_pairs_are_given_down_to_the_floor() -> None:
    vectors = planted(2, 400)
    wide = cosine(vectors, similarity=0.95, floor=0.9)
    assert wide.bound == 0.9
    assert scores(wide) == scores(cosine(vectors, similarity=0.9))
    assert scores(wide.within(0.95)) == scores(cosine(vectors, similarity=0.95))
    with pytest.raises(UsageError, match="lies above"):
        cosine(vectors, similarity=0.9, floor=0.95)


def test_the_stock_is_given_up_before_the_run_is() -> None:
    vectors = planted(2, 400)
    of = directions(Vectors(vectors))
    results = []
    for limit in (10**6, 80):
        found = Found("", limit, needed=0.99)
        Comparison(of, 0.9, found, BlasProducts(), 50).within(of.distinct)
        results.append((found.floor, assemble("cosine", of.first, *found.columns())))
    (floor, everything), (raised, near) = results
    assert (floor, raised) == (-np.inf, 0.99)
    assert len(everything) > 80 > len(near) > 0
    assert scores(near) == scores(everything.within(0.99))
    with pytest.raises(RunError, match="more than 5 pairs"):
        Comparison(of, 0.9, Found("", 5, needed=0.99), BlasProducts()).within(of.distinct)


class Kept:
    """Checkpoints in a dictionary; counts what is loaded, and can end the work as a kill would."""

    def __init__(self, stop_after: int = 10**6) -> None:
        self.parts: dict[str, Any] = {}
        self.loaded, self._left = 0, stop_after

    def load(self, name: str) -> Any:
        self.loaded += name in self.parts
        return self.parts.get(name)

    def save(self, name: str, columns: Any, facts: Any) -> None:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        self.parts[name] = dict(columns), dict(facts)


def test_finished_parts_are_not_compared_again() -> None:
    vectors = planted(8, 900)
    options = {"similarity": 0.9, "floor": 0.85, "exact_below": 0}
    kept = Kept(stop_after=9)
    with pytest.raises(KeyboardInterrupt):
        cosine(vectors, kept, **options)
    assert len(kept.parts) == 9  # the clusters, and eight parts
    again = Kept()
    again.parts = kept.parts
    resumed, whole = cosine(vectors, again, **options), cosine(vectors, **options)
    assert again.loaded == 9
    assert scores(resumed) == scores(whole)
    assert resumed.facts == whole.facts
