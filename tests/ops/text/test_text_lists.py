"""Lists of words: whose they are, in which forms they come, and that what they hold is part of the measure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sluice.errors import MissingError, PlanError
from sluice.operator import registry
from sluice.ops.text.flagged_word_ratio import text_flagged_word_ratio
from sluice.ops.text.hashes import Listed, hashes_of
from sluice.ops.text.stopword_ratio import text_stopword_ratio
from sluice.ops.text.word_lists import FLAGGED, STOPWORDS, about, words_of


def _opened(kind: type, **settings: str) -> object:
    operator = kind(**settings)
    operator.open()
    return operator


def test_lists_that_come_along() -> None:
    assert {"the", "of", "and"} <= words_of(STOPWORDS, "en")
    assert {"der", "und"} <= words_of(STOPWORDS, "de")
    assert {"the", "und"} <= words_of(STOPWORDS, "all")
    flagged = words_of(FLAGGED, "en")
    assert len(flagged) > 100
    assert not flagged & words_of(STOPWORDS, "en"), "a flagged word is no stop word"
    assert not flagged & {"gay", "lesbian", "jews", "muslim", "black", "breast", "sex"}
    assert all(word == word.lower().strip() and " " not in word for word in flagged)
    assert "MIT" in about(STOPWORDS)
    assert "Apache-2.0" in about(FLAGGED)


@pytest.mark.parametrize(
    "contents",
    ['["Ab", " c "]', '{"en": ["ab", "c"], "de": ["x"]}', "Ab\nc\n\n", "\ufeffab\r\nc\r\n"],
    ids=["list", "by language", "text", "text of Windows"],
)
def test_files_of_the_users_in_each_form(contents: str, tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_text(contents, encoding="utf-8")
    assert words_of(str(path), "en") == {"ab", "c"}
    ratio = _opened(text_stopword_ratio, list=str(path))
    assert ratio(hashes_of(["ab", "x", "c", "ab"])) == 0.75  # type: ignore[operator]
    assert ratio(hashes_of([])) == 0  # type: ignore[operator]


def test_shares_are_of_words_in_lower_case() -> None:
    flagged = _opened(text_flagged_word_ratio)
    assert flagged(hashes_of(["what", "shit"])) == 0.5  # type: ignore[operator]
    assert flagged(hashes_of(["scunthorpe", "assess"])) == 0  # type: ignore[operator]


@pytest.mark.parametrize(
    "listed", [[], ["a"], ["a", "c++", "of the", "-"], sorted(words_of(STOPWORDS, "all"))]
)
def test_the_words_of_a_list_are_counted_as_a_set_counts_them(listed: list[str]) -> None:
    some = ["a", "c", "of", "the", "und", "что", "x" * 70_000, "nothing"]
    assert Listed(listed).count(hashes_of(some)) == len(set(listed) & set(some))


@pytest.mark.parametrize("contents", ["[1, 2]", '{"en": 3}', "{", '{"de": ["x"]}'])
def test_what_is_no_list_is_refused(contents: str, tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text(contents, encoding="utf-8")
    with pytest.raises(PlanError):
        words_of(str(path), "en")


def test_a_missing_list_stops_the_plan() -> None:
    with pytest.raises(MissingError, match=r"/nowhere/words\.txt"):
        _ = registry().bind("text_stopword_ratio", {"list": "/nowhere/words.txt"}).fingerprint


def test_what_a_list_holds_is_measured_anew_and_where_it_lies_is_not(tmp_path: Path) -> None:
    def fingerprint(name: str, words: list[str]) -> str:
        path = tmp_path / name
        path.write_text(json.dumps(words), encoding="utf-8")
        return registry().bind("text_flagged_word_ratio", {"list": str(path)}).fingerprint

    assert fingerprint("a", ["x", "y"]) != fingerprint("b", ["x"])
