"""Groups against plain references over all pairs: what is kept, of whom the rest are duplicates."""

from __future__ import annotations

import time
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import RecipeError, UsageError
from sluice.ops.dedup.cosine import cosine
from sluice.ops.dedup.exact import exact
from sluice.ops.dedup.hamming import hamming
from sluice.ops.dedup.pairs import Pairs
from sluice.store.groups import Groups, connected, keep_order, resolve


def near_rows(values: list[int], distance: int) -> dict[tuple[int, int], int]:
    """Distances of all near pairs, in both directions."""
    n = len(values)
    apart = {(a, b): (values[a] ^ values[b]).bit_count() for a in range(n) for b in range(n) if a != b}
    return {pair: bits for pair, bits in apart.items() if bits <= distance}


def reference_greedy(
    values: list[int], distance: int, order: list[int], among: list[bool]
) -> tuple[list[int], list[float]]:
    near = near_rows(values, distance)
    kept: list[int] = []
    duplicate_of, score = [-1] * len(values), [float("nan")] * len(values)
    for row in sorted((row for row in range(len(values)) if among[row]), key=lambda row: order[row]):
        neighbours = [other for other in kept if (row, other) in near]
        if neighbours:
            nearest = min(neighbours, key=lambda other: (near[row, other], order[other]))
            duplicate_of[row], score[row] = nearest, float(near[row, nearest])
        else:
            kept.append(row)
    return duplicate_of, score


def reference_components(values: list[int], distance: int, order: list[int], among: list[bool]) -> list[int]:
    near = near_rows(values, distance)
    keeper = list(range(len(values)))
    for row in sorted(range(len(values)), key=lambda row: order[row], reverse=True):
        reached, open_rows = {row}, [row] if among[row] else []
        while open_rows:
            one = open_rows.pop()
            fresh = {other for other in range(len(values)) if (one, other) in near and among[other]} - reached
            reached |= fresh
            open_rows += fresh
        for other in reached:  # the preferred row is visited last and stays
            keeper[other] = row
    return [-1 if keeper[row] == row or not among[row] else keeper[row] for row in range(len(values))]


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[int], int, list[int], list[bool]]:
    values = draw(st.lists(st.integers(0, 63), max_size=40))  # six bits: many copies, many near ones
    order = draw(st.permutations(range(len(values))))
    among = draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    if draw(st.booleans()):
        among = [True] * len(values)
    return values, draw(st.integers(0, 2)), list(order), among


def solve(case: tuple[list[int], int, list[int], list[bool]], semantics: str) -> Groups:
    values, distance, order, among = case
    pairs = hamming(np.array(values, np.uint64), distance=distance)
    return resolve(len(values), pairs, np.array(order, np.int64), semantics, among=np.array(among, bool))


@settings(deadline=None, max_examples=300)
@given(cases())
def test_greedy_equals_the_reference_over_all_pairs(
    case: tuple[list[int], int, list[int], list[bool]],
) -> None:
    groups = solve(case, "greedy")
    duplicate_of, score = reference_greedy(*case)
    assert groups.duplicate_of.tolist() == duplicate_of
    assert np.array_equal(groups.score, np.array(score, np.float32), equal_nan=True)


@settings(deadline=None, max_examples=200)
@given(cases())
def test_greedy_keeps_no_near_pair_and_every_dropped_row_has_a_kept_one(
    case: tuple[list[int], int, list[int], list[bool]],
) -> None:
    values, distance, order, among = case
    groups = solve(case, "greedy")
    kept = [row for row in range(len(values)) if among[row] and groups.duplicate_of[row] < 0]
    near = near_rows(values, distance)
    assert not [(a, b) for a in kept for b in kept if (a, b) in near]
    for row, keeper in enumerate(groups.duplicate_of.tolist()):
        if keeper >= 0:
            assert keeper in kept
            assert (row, keeper) in near
            assert order[keeper] < order[row]
            assert groups.group[row] == keeper
        else:
            assert groups.group[row] == (row if among[row] else -1)


@settings(deadline=None, max_examples=200)
@given(cases())
def test_components_equal_a_walk_over_all_pairs(
    case: tuple[list[int], int, list[int], list[bool]],
) -> None:
    values, distance, _, _ = case
    groups = solve(case, "components")
    assert groups.duplicate_of.tolist() == reference_components(*case)
    near = near_rows(values, distance)
    for row, keeper in enumerate(groups.duplicate_of.tolist()):
        direct = near.get((row, keeper), float("nan"))
        assert np.array_equal(groups.score[row], np.float32(direct), equal_nan=True)


@settings(deadline=None)
@given(cases(), st.randoms(use_true_random=False), st.sampled_from(["greedy", "components"]))
def test_the_order_of_rows_does_not_matter(
    case: tuple[list[int], int, list[int], list[bool]], random: Random, semantics: str
) -> None:
    values, distance, order, among = case
    moved = list(range(len(values)))
    random.shuffle(moved)
    shuffled = ([values[k] for k in moved], distance, [order[k] for k in moved], [among[k] for k in moved])
    here, there = solve(case, semantics), solve(shuffled, semantics)
    back = [-1] * len(values)
    for place, keeper in enumerate(there.duplicate_of.tolist()):
        back[moved[place]] = moved[keeper] if keeper >= 0 else -1
    assert back == here.duplicate_of.tolist()


@settings(deadline=None)
@given(st.lists(st.none() | st.sampled_from("abc"), max_size=30), st.randoms(use_true_random=False))
def test_exact_copies_keep_the_preferred_one_wherever_the_star_begins(
    values: list[str | None], random: Random
) -> None:
    order = list(range(len(values)))
    random.shuffle(order)
    pairs = exact(pa.array(values, pa.string()))
    expected = []
    for row, value in enumerate(values):
        copies = [other for other, same in enumerate(values) if same == value and value is not None]
        best = min(copies, key=lambda other: order[other]) if copies else row
        expected.append(-1 if best == row else best)
    for semantics in ("greedy", "components"):
        groups = resolve(len(values), pairs, np.array(order, np.int64), semantics)
        assert groups.duplicate_of.tolist() == expected
        assert (groups.score[groups.duplicate_of >= 0] == 1).all()


def test_a_chain_is_one_component_but_two_greedy_groups() -> None:
    values = [0b000, 0b001, 0b011, 0b111]
    order = np.arange(4)
    pairs = hamming(np.array(values, np.uint64), distance=1)
    assert resolve(4, pairs, order).duplicate_of.tolist() == [-1, 0, -1, 2]
    whole = resolve(4, pairs, order, "components")
    assert whole.duplicate_of.tolist() == [-1, 0, 0, 0]
    assert np.array_equal(whole.score, np.array([np.nan, 1, np.nan, np.nan], np.float32), equal_nan=True)


def test_for_cosine_the_higher_is_the_nearer() -> None:
    degrees = np.deg2rad([0, 20, 12])
    vectors = np.stack([np.cos(degrees), np.sin(degrees)], axis=1).astype(np.float32)
    pairs = cosine(vectors, similarity=float(np.cos(np.deg2rad(15))))
    groups = resolve(3, pairs, np.arange(3))
    assert groups.duplicate_of.tolist() == [-1, -1, 1]
    assert groups.score[2] == pytest.approx(np.cos(np.deg2rad(8)))


def test_a_stricter_threshold_is_resolved_from_the_stored_pairs() -> None:
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 256, 200, dtype=np.uint64)
    loose, strict = hamming(hashes, distance=3), hamming(hashes, distance=1)
    order = rng.permutation(200)
    again = resolve(200, loose.within(1), order)
    assert again.duplicate_of.tolist() == resolve(200, strict, order).duplicate_of.tolist()


def test_nothing_and_nobody() -> None:
    none = hamming(np.empty(0, np.uint64), distance=3)
    assert resolve(0, none, np.empty(0, np.int64)).duplicate_of.tolist() == []
    pairs = hamming(np.zeros(3, np.uint64), distance=3)
    out = resolve(3, pairs, np.arange(3), among=np.zeros(3, bool))
    assert out.duplicate_of.tolist() == [-1, -1, -1]
    assert out.group.tolist() == [-1, -1, -1]


def test_an_order_with_ties_and_unknown_semantics_are_refused() -> None:
    none = hamming(np.empty(0, np.uint64), distance=3)
    for order in (np.array([1, 1]), np.array([1])):
        with pytest.raises(UsageError, match="different ranks"):
            resolve(2, none, order)
    with pytest.raises(UsageError, match="greedy"):
        resolve(2, none, np.arange(2), "gready")  # type: ignore[arg-type]


@given(st.integers(0, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40))
def test_connected_labels_components_by_their_lowest_row(n: int, edges: list[tuple[int, int]]) -> None:
    edges = [(a, b) for a, b in edges if a < n and b < n]
    label = list(range(n))
    for _ in range(n):
        for a, b in edges:
            label[a] = label[b] = min(label[a], label[b])
    columns = np.array(edges, np.int64).reshape(-1, 2)
    assert connected(n, columns[:, 0], columns[:, 1]).tolist() == label


@pytest.mark.parametrize("shape", ["path", "shuffled path", "star", "ladder"])
def test_a_million_rows_in_seconds(shape: str) -> None:
    n = 1_000_000
    rows = np.arange(n)
    if shape == "shuffled path":
        rows = np.random.default_rng(4).permutation(n)
    a, b = rows[:-1], rows[1:]
    if shape == "star":
        a = np.full(n - 1, rows[-1])
        b = rows[:-1]
    if shape == "ladder":
        a, b = rows[: n // 2], rows[n // 2 :]
    columns = (np.minimum(a, b), np.maximum(a, b), np.ones(len(a), np.float32), np.zeros(len(a), bool))
    pairs = Pairs("hamming", *columns)
    start = time.process_time()
    greedy = resolve(n, pairs, np.arange(n))
    components = resolve(n, pairs, np.arange(n), "components")
    assert time.process_time() - start < 20  # about 3 seconds here; a quadratic step would take hours
    assert (components.duplicate_of < 0).sum() == (n // 2 if shape == "ladder" else 1)
    assert not ((greedy.duplicate_of[a] < 0) & (greedy.duplicate_of[b] < 0)).any()


WIDTH = pa.array([640, 1280, None, 1280, 640])
SHARP = np.array([3.0, np.nan, 9.0, 1.0, 3.0])


@pytest.mark.parametrize(
    ("policy", "visit"),
    [
        ("first", [0, 1, 2, 3, 4]),
        ("image_width_px desc", [1, 3, 0, 4, 2]),
        ("image_width_px", [0, 4, 1, 3, 2]),
        ("image_width_px ASC , image_sharpness desc", [0, 4, 3, 1, 2]),
        ("image_sharpness desc", [2, 0, 4, 3, 1]),
        ("text", [4, 2, 0, 1, 3]),
        ("flag desc", [1, 0, 2, 3, 4]),
        ("nothing desc, text desc", [3, 1, 0, 2, 4]),
    ],
)
def test_keep_policies(policy: str, visit: list[int]) -> None:
    columns = {
        "image_width_px": WIDTH,
        "image_sharpness": SHARP,
        "text": pa.chunked_array([["b", "c"], ["a", "é", ""]]),
        "flag": pa.array([False, True, False, False, None]),
        "nothing": pa.nulls(5),
    }
    order = keep_order(columns, [*"vwxyz"], policy)
    assert np.argsort(order).tolist() == visit


@given(st.lists(st.text(), unique=True), st.integers(0, 5))
def test_random_order_depends_on_the_id_and_seed_alone(ids: list[str], seed: int) -> None:
    order = keep_order({}, ids, "random", seed=seed)
    ranked = [ids[row] for row in np.argsort(order)]
    backwards = keep_order({}, pa.array(ids[::-1], pa.string()), "random", seed=seed)
    assert [ids[::-1][row] for row in np.argsort(backwards)] == ranked
    fewer = [name for name in ids if len(name) % 2]
    alone = keep_order({}, fewer, "random", seed=seed)
    assert [fewer[row] for row in np.argsort(alone)] == [name for name in ranked if len(name) % 2]


def test_ties_go_by_source_and_then_by_id() -> None:
    order = keep_order({"w": np.array([1, 1, 1, 2])}, [*"dcba"], "w desc", source=np.array([5, 7, 5, 1]))
    assert np.argsort(order).tolist() == [3, 2, 0, 1]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("image_widht_px desc", "did you mean 'image_width_px'"),
        ("image_width_px down", "image_width_px desc, image_size_bytes desc"),
        ("image_width_px,", "cannot read ''"),
        ("colour", "measure it before this step"),
    ],
)
def test_a_wrong_policy_says_what_to_write(policy: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        keep_order({"image_width_px": WIDTH}, [*"abcde"], policy)
    assert message in str(caught.value)
    assert caught.value.field == "keep_by"
