"""Signals of quality of web texts, by hand and against slow definitions."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import Declined
from sluice.ops.text.alphabetic_word_ratio import text_alphabetic_word_ratio
from sluice.ops.text.boilerplate import text_boilerplate
from sluice.ops.text.common_word_count import text_common_word_count
from sluice.ops.text.line import text_line
from sluice.ops.text.lines import duplicate_shares, lines
from sluice.ops.text.max_line_length import text_max_line_length
from sluice.ops.text.mean_line_length import text_mean_line_length
from sluice.ops.text.mean_word_length import text_mean_word_length
from sluice.ops.text.newline_ratio import text_newline_ratio
from sluice.ops.text.ngram import text_ngram
from sluice.ops.text.paragraph import text_paragraph
from sluice.ops.text.pii_count import text_pii_count
from sluice.ops.text.sentence_count import text_sentence_count
from sluice.ops.text.symbol_word_ratio import text_symbol_word_ratio
from sluice.ops.text.url_ratio import text_url_ratio
from sluice.ops.text.words import words

PAGE = """\
A headline

A long sentence that says something about a thing.
- first point
• second point…
A long sentence that says something about a thing.
Read more...
"""


def test_lines_of_a_page() -> None:
    found = text_line(lines(PAGE))
    assert found.count == 6
    assert found.bullet_ratio == 2 / 6
    assert found.ellipsis_ratio == 2 / 6
    assert found.punctuated_ratio == 2 / 6
    assert found.short_ratio == 4 / 6
    assert found.duplicate_ratio == 1 / 6
    assert found.duplicate_character_ratio == pytest.approx(50 / sum(map(len, lines(PAGE))))
    assert text_line([]) == (0, 0, 0, 0, 0, 0, 0)


def test_lengths_of_lines() -> None:
    assert text_mean_line_length("ab\nc\n\nd") == 7 / 4
    assert text_max_line_length("ab\nc\n\nd") == 2
    assert text_mean_line_length("") == text_max_line_length("") == 0


def test_paragraphs() -> None:
    assert text_paragraph("One.\n\nTwo.\n \t\n\nOne.\n") == (3, 1 / 3, 1 / 3)
    assert text_paragraph(" \n\n ") == (0, 0, 0)


@given(st.lists(st.sampled_from(["a", "bb", "ccc"])))
def test_what_came_before_is_what_is_too_many(parts: list[str]) -> None:
    counts = Counter(parts)
    share, characters = duplicate_shares(parts)
    assert share == sum(c - 1 for c in counts.values()) / max(len(parts), 1)
    expected = sum((c - 1) * len(p) for p, c in counts.items()) / max(sum(map(len, parts)), 1)
    assert characters == pytest.approx(expected)


def _top(found: list[str], n: int) -> float:
    runs = [tuple(found[k : k + n]) for k in range(len(found) - n + 1)]
    counts = Counter(runs)
    if not counts or max(counts.values()) < 2:
        return 0.0
    top = next(run for run in runs if counts[run] == max(counts.values()))
    inside = {k + j for k, run in enumerate(runs) if run == top for j in range(n)}
    return sum(len(found[k]) for k in inside) / sum(map(len, found))


def _again(found: list[str], n: int) -> float:
    runs = [tuple(found[k : k + n]) for k in range(len(found) - n + 1)]
    inside = {k + j for k, run in enumerate(runs) if run in runs[:k] for j in range(n)}
    return sum(len(found[k]) for k in inside) / max(sum(map(len, found)), 1)


@given(st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=40))
def test_phrases_are_those_of_the_definition(found: list[str]) -> None:
    expected = [_top(found, n) for n in (2, 3, 4)] + [_again(found, n) for n in range(5, 11)]
    assert text_ngram(found) == pytest.approx(tuple(expected))


def test_words_and_symbols() -> None:
    assert text_mean_word_length(["Today", "is", "Sun"]) == 10 / 3
    with pytest.raises(Declined):
        text_mean_word_length([])
    assert text_symbol_word_ratio("Read on ... #news #today") == 2 / 5
    assert text_symbol_word_ratio("… and ... on") == 2 / 4
    assert text_symbol_word_ratio("") == 0
    assert text_alphabetic_word_ratio("Room 12, 3rd __ 中 (a)") == 4 / 6
    assert text_alphabetic_word_ratio(" ") == 0
    assert text_common_word_count(["the", "cat", "and", "the"]) == 2
    assert text_newline_ratio("one\ntwo\nthree four", words("one\ntwo\nthree four")) == 0.5
    assert text_newline_ratio("\n\n", []) == 2


def test_sentences() -> None:
    assert text_sentence_count('Is it? "Yes." Version 2.0 is out!') == 3
    assert text_sentence_count("これは本です。そうですか？") == 2
    assert text_sentence_count("no end") == 0


def test_web_addresses() -> None:
    assert text_url_ratio("See https://example.org now") == 19 / 27
    assert text_url_ratio('<a href="http://a.b/c?d">www.a.b</a>') == pytest.approx((14 + 7) / 36)
    assert text_url_ratio("") == 0


def test_boilerplate() -> None:
    text = "function f() { return }\nLorem Ipsum dolor\nPlease enable JavaScript\nThis site Uses Cookies"
    assert text_boilerplate(text, lines(text)) == (2, 1, 1, 1)
    assert text_boilerplate("prose", ["prose"]) == (0, 0, 0, 0)


def test_personal_data() -> None:
    assert text_pii_count("jane@example.org, +1 212 555 0199, 10.0.0.1, 4111 1111 1111 1111") == (1, 1, 1, 1)
    assert text_pii_count("nothing of that kind in 2020") == (0, 0, 0, 0)
