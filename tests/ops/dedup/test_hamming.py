"""Pairs within a Hamming radius: every index against comparing everything with everything."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sluice.errors import RunError, UsageError
from sluice.ops.dedup.collect import Found
from sluice.ops.dedup.hamming import hamming
from sluice.ops.dedup.pairs import Pairs
from sluice.ops.dedup.radius_join import near_pairs
from sluice.ops.dedup.radius_plan import Block, Plan, choose

Hashes = NDArray[np.uint64]
Triples = set[tuple[int, int, int]]


def all_pairs(hashes: Hashes, distance: int) -> Triples:
    flat = hashes if hashes.ndim == 2 else hashes[:, None]
    apart = np.bitwise_count(flat[:, None] ^ flat[None]).sum(axis=-1, dtype=np.int64)
    a, b = np.nonzero(np.triu(apart <= distance, 1))
    return set(zip(a.tolist(), b.tolist(), apart[a, b].tolist(), strict=True))


def closure(pairs: Pairs, n: int) -> Triples:
    """All pairs that stars and near pairs stand for."""
    centre = np.arange(n)
    centre[pairs.b[pairs.identical]] = pairs.a[pairs.identical]
    members: dict[int, list[int]] = {}
    for row, first in enumerate(centre.tolist()):
        members.setdefault(first, []).append(row)
    whole = {(a, b, 0) for rows in members.values() for a in rows for b in rows if a < b}
    near = ~pairs.identical
    for one, two, score in zip(pairs.a[near], pairs.b[near], pairs.score[near], strict=True):
        assert centre[one] == one
        assert centre[two] == two
        whole |= {(min(a, b), max(a, b), int(score)) for a in members[one] for b in members[two]}
    return whole


def unordered(columns: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]) -> Triples:
    a, b, score = columns
    triples = set(
        zip(np.minimum(a, b).tolist(), np.maximum(a, b).tolist(), score.astype(int).tolist(), strict=True)
    )
    assert len(triples) == len(a), "a pair was found twice"
    return triples


def join(hashes: Hashes, distance: int, plan: Plan) -> Triples:
    found = Found("")
    near_pairs(hashes, distance, found, plan=plan, threads=2)
    return unordered(found.columns())


def clustered(seed: int, n: int, words: int, distance: int, skew: float) -> Hashes:
    """Random hashes; half of them are others with up to 2 · distance bits flipped; some bits rarely set."""
    rng = np.random.default_rng(seed)
    bits = rng.random((n, words * 64)) < rng.choice([0.5, skew], words * 64)
    half = n // 2
    bits[half:] = bits[rng.integers(0, max(half, 1), n - half)]
    for row in range(half, n):
        flips = rng.integers(0, words * 64, rng.integers(0, 2 * distance + 1))
        bits[row, flips] ^= True
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint64)


shapes = st.tuples(
    st.integers(0, 2**32), st.integers(0, 150), st.integers(1, 4), st.integers(0, 40), st.floats(0, 0.5)
)


@settings(deadline=None, max_examples=60)
@given(shapes)
def test_finds_exactly_the_pairs_that_comparing_all_finds(
    shape: tuple[int, int, int, int, float],
) -> None:
    hashes = clustered(*shape)
    pairs = hamming(hashes, distance=shape[3])
    assert closure(pairs, len(hashes)) == all_pairs(hashes, shape[3])
    assert (pairs.a < pairs.b).all()
    assert np.array_equal(np.lexsort((pairs.b, pairs.a)), np.arange(len(pairs)))


@settings(deadline=None, max_examples=60)
@given(shapes, st.integers(4, 20))
def test_every_plan_finds_every_pair_once(shape: tuple[int, int, int, int, float], pretend: int) -> None:
    distance = shape[3]
    hashes = np.unique(clustered(*shape), axis=0)
    varying = int((hashes != hashes[:1]).any()) and int(
        np.bitwise_count(np.bitwise_or.reduce(hashes ^ hashes[:1])).sum()
    )
    plan = choose(2**pretend, varying, distance)  # as if there were many more, so that blocks are used
    assert join(hashes, distance, plan) == all_pairs(hashes, distance)


@pytest.mark.parametrize(
    "blocks",
    [
        (Block(3, 0), Block(3, 1), Block(20, 0), Block(22, 2)),
        (Block(16, 3), Block(17, 2)),
        (Block(24, 4), Block(12, 1)),
        (Block(2, 1), Block(10, 4)),
    ],
)
def test_hand_made_plans_with_small_and_large_buckets(blocks: tuple[Block, ...]) -> None:
    distance = sum(block.radius + 1 for block in blocks) - 1
    hashes = np.unique(clustered(5, 1500, 1, distance, 0.02), axis=0)
    expected = all_pairs(hashes, distance)
    assert len(expected) > 500
    assert join(hashes, distance, Plan(blocks, 0.0)) == expected


@settings(deadline=None)
@given(st.integers(2, 10_000_000), st.integers(0, 256), st.integers(0, 64), st.floats(0.5, 0.99))
def test_a_plan_spends_the_whole_pigeonhole_budget(n: int, bits: int, distance: int, match: float) -> None:
    plan = choose(n, bits, distance, match)
    if plan.blocks:
        assert sum(block.radius + 1 for block in plan.blocks) == distance + 1
        assert sum(block.width for block in plan.blocks) <= bits
        assert all(0 <= block.radius < block.width <= 24 for block in plan.blocks)
        assert plan.expected_ns < choose(n, 0, distance).expected_ns * -(-max(bits, 1) // 64)


def test_a_million_hashes_are_not_compared_with_each_other() -> None:
    plan = choose(1_000_000, 64, 6)
    assert plan.blocks
    assert plan.expected_ns < choose(1_000_000, 0, 6).expected_ns / 100


@settings(deadline=None, max_examples=40)
@given(shapes, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(shape: tuple[int, int, int, int, float], random) -> None:
    hashes = clustered(*shape)
    moved = list(range(len(hashes)))
    random.shuffle(moved)
    there = closure(hamming(hashes[moved], distance=shape[3]), len(hashes))
    back = {(min(moved[a], moved[b]), max(moved[a], moved[b]), score) for a, b, score in there}
    assert back == closure(hamming(hashes, distance=shape[3]), len(hashes))


def test_the_same_hash_many_times_makes_a_star() -> None:
    pairs = hamming(np.zeros(100_000, np.uint64), distance=6)
    assert len(pairs) == 99_999
    assert pairs.identical.all()
    assert (pairs.score == 0).all()


def test_skewed_buckets_stay_within_memory() -> None:
    rng = np.random.default_rng(2)
    low = rng.choice(2**40, 8_000, replace=False).astype(np.uint64) << np.uint64(24)
    hashes = np.concatenate([low, rng.integers(0, 2**24, 40, dtype=np.uint64)])[:, None]
    plan = Plan((Block(2, 0), Block(2, 0), Block(2, 0)), 0.0)  # all nearly in one bucket: 32 M pairs
    tracemalloc.start()
    try:
        found = join(hashes, 2, plan)
        peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    assert found == join(hashes, 2, Plan((), 0.0))
    assert peak_mb < 60


@given(st.lists(st.none() | st.integers(0, 15), max_size=30), st.integers(0, 3))
def test_arrow_columns_with_nulls(values: list[int | None], distance: int) -> None:
    known = [row for row, value in enumerate(values) if value is not None]
    hashes = np.array([value for value in values if value is not None], np.uint64)
    expected = {(known[a], known[b], score) for a, b, score in all_pairs(hashes, distance)}
    wide = [None if value is None else value.to_bytes(5, "big") for value in values]
    padded = pa.array([b"\xff" * 5, *wide], pa.binary(5)).slice(1)
    columns = [pa.array(values, pa.uint64()), padded, pa.chunked_array([padded], type=pa.binary(5))]
    for column in columns:
        pairs = hamming(column, distance=distance)
        assert closure(pairs, len(values)) == expected
        assert pairs.unmatched == values.count(None)


@pytest.mark.parametrize("bits", [np.zeros(3, np.int64), np.zeros((3, 0), np.uint64), pa.array(["ab"])])
def test_other_columns_are_refused(bits: object) -> None:
    with pytest.raises(UsageError):
        hamming(bits, distance=1)


def test_more_pairs_than_anyone_can_use_end_with_advice() -> None:
    found = Found("lower `distance`", limit=10)
    found.add(np.arange(10), np.arange(10), np.zeros(10))
    with pytest.raises(RunError, match=r"more than 10 pairs.*\n.*lower `distance`"):
        found.add(np.arange(1), np.arange(1), np.zeros(1))
