"""Content hashes of texts: equal for equal texts, as far as the settings say what equal means."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluice.ops.text.content_hash import text_content_hash


@given(st.text(), st.text())
def test_hashes_are_equal_where_texts_are(one: str, other: str) -> None:
    assert (text_content_hash(one) == text_content_hash(other)) == (one == other)


def test_settings_say_what_counts() -> None:
    assert text_content_hash("Ab c.", lowercase=True) == text_content_hash("aB C.", lowercase=True)
    assert text_content_hash("a, b\n3c", letters_only=True) == text_content_hash("abc", letters_only=True)
    assert text_content_hash("日本 語！", letters_only=True) == text_content_hash("日本語", letters_only=True)
    assert text_content_hash("a b") != text_content_hash("ab")


def test_lone_surrogates_are_hashed() -> None:
    assert len(text_content_hash("a\ud800")) == 32
