"""Shingles: hashed by the array as they would be one by one, wherever a text is cut for it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.ops.text import shingles
from sluice.ops.text.shingles import shingle_hashes

TEXTS = st.text(st.sampled_from("abC dE.\n\t,_é1字語\u0301\ud800😀\u00a0\0"), max_size=60)


def words_of(text: str) -> list[str]:
    inside = [character if unicodedata.category(character)[0] in "LMN" else " " for character in text]
    return "".join(inside).split(" ")


def shingles_of(text: str, size: int, unit: str) -> list[tuple[str, ...]]:
    words = [word for word in words_of(text.lower()) if word]
    parts = words if unit == "words" else list(" ".join(words))
    return [tuple(parts[k : k + size]) for k in range(len(parts) - size + 1)]


@given(TEXTS, TEXTS, st.integers(1, 4), st.sampled_from(["words", "characters"]))
def test_shingles_have_one_hash_if_and_only_if_they_are_the_same(
    a: str, b: str, size: int, unit: str
) -> None:
    both = shingles_of(a, size, unit) + shingles_of(b, size, unit)
    hashes = [*shingle_hashes(a, size, unit).tolist(), *shingle_hashes(b, size, unit).tolist()]
    assert len(hashes) == len(both)
    assert len(set(zip(both, hashes, strict=True))) == len(set(both)) == len(set(hashes))


@given(TEXTS, st.integers(1, 3), st.sampled_from(["words", "characters"]))
def test_where_a_text_is_cut_changes_nothing(text: str, size: int, unit: str) -> None:
    whole = shingle_hashes(text, size, unit).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "PIECE", 5)
        assert shingle_hashes(text, size, unit).tolist() == whole


def test_hashes_are_those_that_were_stored_before() -> None:
    assert shingle_hashes("One two, three", 2).tolist() == [10110476179552660106, 4255942489392992619]
    assert shingle_hashes("ab c", 3, "characters").tolist() == [3265570913441761932, 12896043784261640138]


def test_capitals_tell_words_apart_only_when_asked() -> None:
    assert shingle_hashes("ONE Two", 2).tolist() == shingle_hashes("one two", 2).tolist()
    assert (
        shingle_hashes("ONE Two", 2, lowercase=False).tolist()
        != shingle_hashes("one two", 2, lowercase=False).tolist()
    )


def test_texts_without_words_have_no_shingles() -> None:
    for text in ("", " \n", "!?", "\ud800", "😀"):
        assert len(shingle_hashes(text, 1)) == 0
        assert len(shingle_hashes(text, 1, "characters")) == 0


def test_words_that_differ_in_many_ways_never_share_a_hash() -> None:
    text = " ".join(f"{number:x}" for number in range(200_000))
    assert len(set(shingle_hashes(text, 1).tolist())) == 200_000
