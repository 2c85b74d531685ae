"""Near pairs of sketches: which are compared, that the sets decide, and that nothing else plays a part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sluice.errors import RunError, UsageError
from sluice.ops.dedup import jaccard as module
from sluice.ops.dedup import jaccard_bands
from sluice.ops.dedup.jaccard import jaccard
from sluice.ops.dedup.jaccard_bands import Bands, band_keys, candidates, choose, portions
from sluice.ops.dedup.jaccard_sketch import Sketches, sketch_of_set, sketch_of_short
from sluice.ops.dedup.pairs import Pairs
from sluice.ops.text.minhash import text_minhash

SETS = st.lists(st.sets(st.integers(0, 12), min_size=1, max_size=8), max_size=12)
SIMILARITIES = st.sampled_from([0.3, 0.5, 0.75, 0.8, 1.0])


def column(sketches: list[bytes | None]) -> pa.Array:
    return pa.array(sketches, pa.large_binary())


def sketch(members: set[int]) -> bytes:
    """The sketch of the text whose words are the members."""
    return text_minhash(" ".join(f"word{member}" for member in sorted(members)), size=1)


def similarity_of(a: set[int], b: set[int]) -> float:
    return float(np.float32(len(a & b) / len(a | b)))


def as_dict(pairs: Pairs) -> dict[tuple[int, int], tuple[float, bool]]:
    columns = (pairs.a.tolist(), pairs.b.tolist(), pairs.score.tolist(), pairs.identical.tolist())
    return {(a, b): (score, same) for a, b, score, same in zip(*columns, strict=True)}


def expected(sets: list[set[int]], similarity: float) -> dict[tuple[int, int], tuple[float, bool]]:
    """By brute force: the stars of equal sets, and the near pairs of their first rows that share a band."""
    first = [sets.index(members) for members in sets]
    found = {(k, row): (1.0, True) for row, k in enumerate(first) if k != row}
    read = Sketches.read(column([sketch(members) for members in sets]))
    bands = choose(128, similarity)
    for a, b in combinations(sorted(set(first)), 2):
        score = similarity_of(sets[a], sets[b])
        one, other = (read.signatures(np.array([row]), 128)[0] for row in (a, b))
        cut = [slice(k * bands.rows, (k + 1) * bands.rows) for k in range(bands.count)]
        if score >= np.float32(similarity) and any((one[k] == other[k]).all() for k in cut):
            found[a, b] = (score, False)
    return found


@given(SETS, SIMILARITIES)
@settings(max_examples=60, deadline=None)
def test_pairs_are_the_candidates_whose_sets_are_near(sets: list[set[int]], similarity: float) -> None:
    pairs = jaccard(column([sketch(members) for members in sets]), similarity=similarity)
    assert as_dict(pairs) == expected(sets, similarity)
    assert pairs.unmatched == 0


@given(SETS, SIMILARITIES, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_plays_no_part(sets: list[set[int]], similarity: float, random: object) -> None:
    order = list(range(len(sets)))
    random.shuffle(order)  # type: ignore[attr-defined]
    pairs = as_dict(jaccard(column([sketch(members) for members in sets]), similarity=similarity))
    moved = as_dict(jaccard(column([sketch(sets[row]) for row in order]), similarity=similarity))

    def by_sets(found: dict[tuple[int, int], tuple[float, bool]], rows: list[int]) -> set[object]:
        return {
            (frozenset([frozenset(sets[rows[a]]), frozenset(sets[rows[b]])]), s)
            for (a, b), s in found.items()
        }

    assert by_sets(pairs, list(range(len(sets)))) == by_sets(moved, order)
    assert len(pairs) == len(moved)


@dataclass(frozen=True)
class InBlocks:
    """A column that is handed out a few rows at a time."""

    array: pa.Array
    rows: int
    folder: None = None

    def __len__(self) -> int:
        return len(self.array)

    def blocks(self) -> Iterator[pa.Array]:
        yield from self.take(np.arange(len(self.array)))

    def take(self, rows: NDArray[np.int64]) -> Iterator[pa.Array]:
        assert (np.diff(rows) > 0).all()
        for start in range(0, len(rows), self.rows):
            yield self.array.take(pa.array(rows[start : start + self.rows]))


@given(SETS, SIMILARITIES, st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_blocks_and_portions_play_no_part(sets: list[set[int]], similarity: float, rows: int) -> None:
    whole = column([*(sketch(members) for members in sets), None, sketch_of_short("a")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_VERIFIED", 3)
        patch.setattr(jaccard_bands, "CANDIDATES", 2)
        pairs = jaccard(InBlocks(whole, rows), similarity=similarity)
    again = jaccard(pa.chunked_array([whole[:1], whole[1:]]), similarity=similarity)
    assert as_dict(pairs) == as_dict(again)
    assert pairs.facts == again.facts
    assert pairs.unmatched == again.unmatched == 1


@pytest.mark.parametrize("similarity", [0.5, 0.7, 0.8, 0.9])
def test_recall_is_what_theory_says(similarity: float) -> None:
    """400 pairs just at the threshold: at most 1 % missed, which a fair draw exceeds by 3 % once in 10⁵."""
    random = np.random.default_rng(7)
    members = 90
    common = int(np.ceil(similarity * 2 * members / (1 + similarity)))
    sketches = []
    for number in range(400):
        words = [f"{number}x{k}" for k in random.integers(0, 2**40, 2 * members - common)]
        sketches += [text_minhash(" ".join(w), size=1) for w in (words[:members], words[members - common :])]
    pairs = jaccard(column(sketches), similarity=similarity)
    exact = common / (2 * members - common)
    assert set(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True)) <= {
        (2 * k, 2 * k + 1) for k in range(400)
    }
    assert pairs.score.tolist() == pytest.approx([exact] * len(pairs), abs=1e-6)
    bound = pairs.facts["missed_at_threshold"]
    assert 0 < bound <= 0.01
    assert 1 - len(pairs) / 400 <= bound + 0.03


def test_bands_are_those_of_the_formula() -> None:
    assert [choose(128, s) for s in (0.7, 0.8, 0.9)] == [Bands(32, 4), Bands(21, 6), Bands(12, 10)]
    missed = [[choose(128, s).missed(s), choose(128, s).missed(s + 0.05)] for s in (0.7, 0.8, 0.9)]
    assert np.array(missed) == pytest.approx(
        np.array([[1.53e-4, 5.17e-6], [1.69e-3, 4.81e-5], [5.8e-3, 1.74e-5]]), rel=0.02
    )
    assert choose(128, 0.01) == Bands(128, 1)
    assert choose(256, 1.0) == Bands(1, 256)


@given(st.integers(128, 256), st.floats(0.05, 1))
def test_longer_bands_would_miss_too_much(permutations: int, similarity: float) -> None:
    bands = choose(permutations, similarity)
    assert bands.missed(similarity) <= 0.01
    assert bands.count * bands.rows <= permutations
    if bands.rows < permutations:
        assert Bands(permutations // (bands.rows + 1), bands.rows + 1).missed(similarity) > 0.01


@given(st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), max_size=9))
def test_candidates_are_the_pairs_that_agree_in_a_band_each_once(rows: list[list[int]]) -> None:
    signatures = np.array(rows, np.uint32).reshape(-1, 4)
    found = [
        tuple(sorted(pair))
        for i, j in candidates(band_keys(signatures, Bands(2, 2)))
        for pair in zip(i.tolist(), j.tolist(), strict=True)
    ]
    brute = [
        (a, b)
        for a, b in combinations(range(len(rows)), 2)
        if rows[a][:2] == rows[b][:2] or rows[a][2:] == rows[b][2:]
    ]
    assert sorted(found) == brute


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 20))
def test_portions_hold_all_rows_in_order(weights: list[int], most: int) -> None:
    rows = np.arange(len(weights))
    pieces = list(portions(rows, np.array(weights, np.int64), most))
    assert [row for piece in pieces for row in piece] == rows.tolist()
    assert all(sum(weights[row] for row in piece[1:]) <= most for piece in pieces)


def test_short_texts_are_duplicates_of_equal_ones_only() -> None:
    texts = ["one two three four", "one two three five", "one two three four", "One two three four", "!", "!"]
    pairs = jaccard(column([text_minhash(text) for text in texts]), similarity=0.1)
    assert as_dict(pairs) == {(0, 2): (1.0, True), (4, 5): (1.0, True)}


def test_nulls_match_nothing_and_are_counted() -> None:
    same = text_minhash("one two three four five six")
    pairs = jaccard(column([None, same, None, same]), similarity=0.8)
    assert as_dict(pairs) == {(1, 3): (1.0, True)}
    assert pairs.unmatched == 2


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_few_or_no_sketches_give_no_pairs(rows: int) -> None:
    assert len(jaccard(column([None] * rows), similarity=0.8)) == 0
    assert len(jaccard(column([sketch({row}) for row in range(rows)]), similarity=0.8)) == 0


def test_a_thousand_copies_make_a_star() -> None:
    pairs = jaccard(column([sketch({1, 2, 3})] * 1000 + [sketch({1, 2, 3, 4})]), similarity=0.7)
    assert len(pairs) == 1000
    assert as_dict(pairs)[0, 1000] == (0.75, False)


def test_sets_of_very_different_size_are_compared_rightly() -> None:
    large = " ".join(f"w{k}" for k in range(50_000))
    pairs = jaccard(
        column([text_minhash(large), text_minhash(large + " and more"), text_minhash("w0 w1 w2 w3 w4")]),
        similarity=0.9,
    )
    assert as_dict(pairs) == {(0, 1): (pytest.approx(49_996 / 49_998, abs=1e-7), False)}


def test_more_candidates_than_anyone_waits_for_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANDIDATES_LIMIT", 3)
    near = [sketch({*range(20), 20 + k}) for k in range(4)]
    with pytest.raises(RunError, match="more than 3 pairs of texts look near") as caught:
        jaccard(column(near), similarity=0.8)
    assert "boilerplate" in str(caught.value.fix)


@pytest.mark.parametrize(
    "bytes_", [b"abc", b"\x80\0\0\0", b"\x02\0\0\0abcd", b"\xff\xff\xff\xffabcdefgh"], ids=repr
)
def test_other_bytes_are_refused(bytes_: bytes) -> None:
    with pytest.raises(UsageError, match="no sketches"):
        jaccard(column([bytes_]), similarity=0.8)


def test_sketches_of_other_settings_are_refused() -> None:
    text = "one two three four five six"
    with pytest.raises(UsageError, match="different lengths"):
        jaccard(column([text_minhash(text), text_minhash(text, permutations=256)]), similarity=0.8)


def test_a_sketch_reads_as_it_was_written() -> None:
    written = sketch_of_set(np.array([7, 8, 9], np.uint32), np.array([1, 4_000_000_000], np.uint32))
    assert np.frombuffer(written, "<u4").tolist() == [3, 7, 8, 9, 1, 4_000_000_000]
    read = Sketches.read(column([None, written, sketch_of_short("x"), written])[1:])
    assert read.permutations.tolist() == [3, 0, 3]
    assert read.signatures(np.array([0, 2]), 3).tolist() == [[7, 8, 9]] * 2
    assert read.elements(2, 3).tolist() == [1, 4_000_000_000]
    assert read.digests()[0] == read.digests()[2] != read.digests()[1]
