"""Exact duplicates: stars against a dictionary of values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sluice.ops.dedup.exact import exact
from sluice.ops.dedup.identical import first_rows, first_vectors
from sluice.ops.dedup.pairs import Pairs, assemble
from sluice.ops.dedup.vectors import Vectors


def stars(values: list[object]) -> list[tuple[int, int]]:
    first: dict[object, int] = {}
    found = []
    for row, value in enumerate(values):
        if value is not None and first.setdefault(value, row) != row:
            found.append((first[value], row))
    return sorted(found)


def rows(pairs: Pairs) -> list[tuple[int, int]]:
    return list(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))


@given(st.lists(st.none() | st.sampled_from(["", "a", "b", "é", "a\0"])))
def test_equal_texts_make_stars_and_nulls_match_nothing(values: list[str | None]) -> None:
    pairs = exact(pa.array(values, pa.string()))
    assert rows(pairs) == stars(list(values))
    assert (pairs.score == 1).all()
    assert pairs.identical.all()
    assert pairs.unmatched == values.count(None)


@given(st.lists(st.integers(-2, 2)), st.integers(1, 5))
def test_every_form_of_column_gives_the_same_pairs(values: list[int], cut: int) -> None:
    whole = pa.array(values, pa.int64())
    pieces = pa.chunked_array(
        [whole.slice(start, cut) for start in range(0, len(values), cut)], type=pa.int64()
    )
    forms = [whole, pieces, pieces.dictionary_encode(), np.array(values, dtype=np.int64)]
    forms.append(whole.cast(pa.string()).cast(pa.binary()))
    assert [rows(exact(form)) for form in forms] == [stars(list(values))] * len(forms)


def test_many_copies_make_linearly_many_pairs() -> None:
    pairs = exact(pa.array(["same"] * 200_000))
    assert len(pairs) == 199_999
    assert (pairs.a == 0).all()


def test_a_collision_of_hashes_does_not_make_two_vectors_one() -> None:
    vectors = np.array([[1, 2], [3, 4], [1, 2], [3, 4], [0, 0]], np.float32)
    usable = np.array([True, True, True, True, False])
    digests = np.array([5, 6, 5, 6, 5], np.uint64)
    assert first_vectors(Vectors(vectors), usable, digests).tolist() == [0, 1, 0, 1, -1]
    assert first_vectors(Vectors(vectors), usable, np.full(5, 7, np.uint64)).tolist() == [0, 1, 0, 3, -1]


def test_first_rows_of_an_empty_or_null_column() -> None:
    assert first_rows(pa.array([], pa.string())).tolist() == []
    assert first_rows(pa.array([None, None], pa.string())).tolist() == [-1, -1]


def test_within_cuts_near_pairs_and_never_stars() -> None:
    first = np.array([0, 0, 2, 3])
    a, b = np.array([2, 3]), np.array([0, 2])
    bits = assemble("hamming", first, a, b, np.array([4, 2], np.float32))
    assert rows(bits) == [(0, 1), (0, 2), (2, 3)]
    assert rows(bits.within(3)) == [(0, 1), (2, 3)]
    assert rows(bits.within(4)) == rows(bits)  # inclusive
    vectors = assemble("cosine", first, a, b, np.array([0.9, 0.8], np.float32))
    assert rows(vectors.within(0.9)) == [(0, 1), (0, 2)]
    assert vectors.within(0.95).identical.tolist() == [True]
