"""Shares of characters and repetitions are those of their definitions, written down here the slow way."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from math import isqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.ops.text import ngrams
from sluice.ops.text.alphanumeric_ratio import text_alphanumeric_ratio
from sluice.ops.text.character_repetition import text_character_repetition
from sluice.ops.text.characters import PLANES, alphanumeric, codes, is_special, special
from sluice.ops.text.special_character_ratio import text_special_character_ratio
from sluice.ops.text.word_repetition import text_word_repetition

REPETITIVE = st.text(alphabet=st.sampled_from("ab \u00e9\u4e2d\U0001f600\ud800"), max_size=60)
FEW_WORDS = st.lists(st.sampled_from(["a", "b", "cc", "ß"]), max_size=40)


def test_tables_tell_every_code_point_of_unicode_as_the_functions_do() -> None:
    places = np.minimum(np.arange(0x110000), PLANES - 1)
    for table, tell in ((special(), is_special.__wrapped__), (alphanumeric(), str.isalnum)):
        told = np.fromiter(map(tell, map(chr, range(0x110000))), np.bool_)
        assert np.flatnonzero(table[places] != told).tolist() == []


@given(st.text())
def test_shares_of_characters_are_counts_over_length(text: str) -> None:
    length = max(len(text), 1)
    assert text_alphanumeric_ratio(text, codes(text)) == sum(map(str.isalnum, text)) / length
    assert text_special_character_ratio(codes(text)) == sum(map(is_special, text)) / length


def test_tokens_of_letters_alone() -> None:
    text = "Do you need a cup of coffee?"
    assert text_alphanumeric_ratio(text, codes(text), unit="token") == 7 / 8
    assert text_alphanumeric_ratio("", codes(""), unit="token") == 0
    assert text_alphanumeric_ratio("a1 中文 b_", codes(""), unit="token") == 1 / 3


@given(REPETITIVE, st.integers(1, 12))
def test_character_repetition_is_that_of_its_definition(text: str, n: int) -> None:
    counts = Counter(text[k : k + n] for k in range(len(text) - n + 1))
    ordered = sorted(counts.values(), reverse=True)
    taken = min(isqrt(len(ordered)), sum(count > 1 for count in ordered))
    expected = sum(ordered[:taken]) / max(sum(ordered), 1)
    assert text_character_repetition(codes(text), n=n) == pytest.approx(expected, abs=1e-12)


@given(FEW_WORDS, st.integers(1, 12))
def test_word_repetition_is_that_of_its_definition(words: list[str], n: int) -> None:
    counts = Counter(tuple(words[k : k + n]) for k in range(len(words) - n + 1))
    expected = sum(count for count in counts.values() if count > 1) / max(sum(counts.values()), 1)
    assert text_word_repetition(words, n=n) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 64))
def test_repetitions_are_counts_above_one(values: list[int], shift: int) -> None:
    hashes = np.array(values, np.uint64) * np.uint64((0x9E3779B97F4A7C15 << shift) % (1 << 64) | 1)
    counts = Counter(values)
    different, repeated = ngrams.repetitions(hashes)
    assert different == len(counts)
    assert sorted(repeated.tolist()) == sorted(count for count in counts.values() if count > 1)


def test_words_of_a_huge_vocabulary_are_all_different() -> None:
    words = [f"w{k}" for k in range(300_000)]
    assert text_word_repetition(words, n=1) == 0
    assert text_word_repetition([*words, *words[:5]], n=2) == 8 / (len(words) + 4)


def test_blocks_of_a_long_text_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(chr(97 + int(c)) for c in np.random.default_rng(0).integers(0, 3, 3000))
    whole = text_character_repetition(codes(text), n=7)
    monkeypatch.setattr(ngrams, "_BLOCK", 64)
    assert text_character_repetition(codes(text), n=7) == whole
    counts = Counter(text[k : k + 7] for k in range(len(text) - 6))
    top = islice(sorted(counts.values(), reverse=True), isqrt(len(counts)))
    assert whole == pytest.approx(sum(top) / (len(text) - 6))
