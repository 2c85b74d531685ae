"""Shares of characters and repetitions are those of their definitions, written down here the slow way."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from math import isqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.ops.text import hashes, ngrams
from sluice.ops.text.alphanumeric_ratio import text_alphanumeric_ratio
from sluice.ops.text.character_repetition import text_character_repetition
from sluice.ops.text.characters import ALPHANUMERIC, GAP, SPECIAL, codes, is_special, kinds
from sluice.ops.text.hashes import hashes_of, word_hashes
from sluice.ops.text.special_character_ratio import text_special_character_ratio
from sluice.ops.text.word_repetition import text_word_repetition
from sluice.ops.text.words import lowercase_words, words

REPETITIVE = st.text(alphabet=st.sampled_from("ab \u00e9\u4e2d\U0001f600\ud800"), max_size=60)
FEW_WORDS = st.lists(st.sampled_from(["a", "b", "cc", "ß"]), max_size=40)


def test_kinds_tell_every_code_point_of_unicode_as_the_functions_do() -> None:
    everything = "".join(map(chr, range(0x110000)))
    told = kinds(codes(everything))
    tells = {ALPHANUMERIC: str.isalnum, SPECIAL: is_special.__wrapped__, GAP: " \n\t".__contains__}
    for kind, tell in tells.items():
        expected = np.fromiter(map(tell, everything), np.bool_)
        assert np.flatnonzero((told & kind > 0) != expected).tolist() == []


@given(st.text())
def test_shares_of_characters_are_counts_over_length(text: str) -> None:
    length = max(len(text), 1)
    assert text_alphanumeric_ratio(text, kinds(codes(text))) == sum(map(str.isalnum, text)) / length
    assert text_special_character_ratio(kinds(codes(text))) == sum(map(is_special, text)) / length


def test_tokens_of_letters_alone() -> None:
    text = "Do you need a cup of coffee?"
    assert text_alphanumeric_ratio(text, kinds(codes(text)), unit="token") == 7 / 8
    assert text_alphanumeric_ratio("", kinds(codes("")), unit="token") == 0
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
    assert text_word_repetition(hashes_of(words), n=n) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 64))
def test_repetitions_are_counts_above_one(values: list[int], shift: int) -> None:
    hashes = np.array(values, np.uint64) * np.uint64((0x9E3779B97F4A7C15 << shift) % (1 << 64) | 1)
    counts = Counter(values)
    different, repeated = ngrams.repetitions(hashes)
    assert different == len(counts)
    assert sorted(repeated.tolist()) == sorted(count for count in counts.values() if count > 1)


def test_words_of_a_huge_vocabulary_are_all_different() -> None:
    words = [f"w{k}w" for k in range(300_000)]
    assert text_word_repetition(hashes_of(words), n=1) == 0
    assert text_word_repetition(hashes_of([*words, *words[:5]]), n=2) == 8 / (len(words) + 4)


def _hashed(text: str) -> list[int]:
    found: list[int] = word_hashes(text, codes(text), kinds(codes(text))).tolist()
    return found


@given(
    st.text(alphabet=st.sampled_from("abAß一éÉ \t\n\r'-.“😀1²\u0301\0ΣσςİⒶ\U000f0001\U00100002"), max_size=80)
)
def test_hashed_words_are_those_in_lower_case(text: str) -> None:
    expected = lowercase_words(words(text))
    found = _hashed(text)
    assert len(found) == len(expected)
    assert len(set(zip(found, expected, strict=True))) == len(set(found)) == len(set(expected))
    assert found == [h for word in expected for h in _hashed(word)], "a word has one hash wherever it stands"


def test_runs_of_words_do_not_mix_their_letters() -> None:
    runs = ["ab c", "ac b", "a bc", "abc", "cab", "b a c", "c b a"]
    told = {tuple(hashes.run_hashes(np.array(_hashed(run), np.uint64), len(run.split()))) for run in runs}
    assert len(told) == len(runs)


def test_blocks_of_a_long_text_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(chr(97 + int(c)) for c in np.random.default_rng(0).integers(0, 3, 3000))
    whole = text_character_repetition(codes(text), n=7)
    spaced = text.replace("a", " ")
    of_words = _hashed(spaced)
    assert len(of_words) == len(words(spaced)) > 500
    monkeypatch.setattr(hashes, "_BLOCK", 64)
    assert text_character_repetition(codes(text), n=7) == whole
    assert _hashed(spaced) == of_words
    assert _hashed(text) == [_hashed(text + " ")[0]], "one word of many blocks"
    counts = Counter(text[k : k + 7] for k in range(len(text) - 6))
    top = islice(sorted(counts.values(), reverse=True), isqrt(len(counts)))
    assert whole == pytest.approx(sum(top) / (len(text) - 6))
