"""Documents in chunks: nothing is lost or added, no chunk is too long, and chunks end where texts do."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.operator import registry
from sluice.operator.splitting import Family, Splitter
from sluice.ops.text.boundaries import spans
from sluice.sample import Item, Media, Sample

PROSE = st.lists(
    st.sampled_from(["word ", "Word. ", "\n\n", "\n", "。", " ", "x" * 30, "\u0301", "🙂", '" ', "\r\n"]),
    max_size=60,
).map("".join)


def family(*items: Item, **settings: Any) -> Family:
    """What the splitter makes of a sample with these items."""
    instance = registry().bind("text_split_document", settings)
    return Splitter(instance)(Sample("parent", "a/b", items, {"url": "u"}))


def chunks(text: str, **settings: Any) -> list[str]:
    """The chunks of one text."""
    made = family(Item("text", name="txt", text=text), **settings)
    return [item.text or "" for child in made.children for item in child.items]


@given(st.one_of(st.text(max_size=300), PROSE), st.integers(1, 80))
@settings(deadline=None)
def test_chunks_joined_are_the_text(text: str, size: int) -> None:
    found = [text[start:end] for start, end in spans(text, size)]
    assert "".join(found) == text
    assert all(0 < len(chunk) <= size for chunk in found)
    assert all(len(chunk) * 2 >= size for chunk in found[:-1])


@given(PROSE.filter(str.strip), st.integers(2, 60), st.floats(0, 0.5))
@settings(deadline=None)
def test_an_overlap_repeats_what_stands_before_from_a_words_beginning(
    text: str, size: int, overlap: float
) -> None:
    found, repeated = chunks(text, max_characters=size, overlap=overlap), int(size * overlap)
    own = list(spans(text, size - repeated))
    assert len(found) == len(own)
    for chunk, (start, end) in zip(found, own, strict=True):
        begin = end - len(chunk)
        assert text[begin:end] == chunk
        assert 0 <= start - begin <= repeated
        assert begin == start or begin == 0 or (text[begin - 1].isspace() and not text[begin].isspace())


@pytest.mark.parametrize(
    ("text", "size", "wanted"),
    [
        ("One.\n\nTwo. Three.", 10, ["One.\n\n", "Two. ", "Three."]),
        ("One. Two three four", 12, ["One. Two ", "three four"]),
        ("line one\nline two", 12, ["line one\n", "line two"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("第一句。第二句。第三", 6, ["第一句。", "第二句。第三"]),
        ('He said "no." Then went.', 18, ['He said "no." ', "Then went."]),
        ("short", 100, ["short"]),
    ],
)
def test_chunks_end_at_the_largest_boundary_that_fits(text: str, size: int, wanted: list[str]) -> None:
    assert chunks(text, max_characters=size) == wanted


def test_an_overlap_begins_with_a_word() -> None:
    found = chunks("alpha beta gamma delta epsilon zeta", max_characters=16, overlap=0.4)
    assert found == ["alpha ", "alpha beta ", "beta gamma ", "gamma delta ", "delta epsilon ", "zeta"]


def test_a_chunk_is_a_sample_with_the_documents_metadata_and_an_identity_of_its_own() -> None:
    metadata = Item("metadata", name="json", text="{}", hash="h")
    made = family(Item("text", name="txt", text="one two three"), metadata, max_characters=6)
    assert made.note is None
    assert [c.key for c in made.children] == ["a/b_0000", "a/b_0001", "a/b_0002"]
    assert {c.parent for c in made.children} == {"parent"}
    assert len({c.id for c in made.children} | {"parent"}) == 4
    assert all(c.items[1] == metadata and c.fields == {"url": "u"} for c in made.children)
    assert made == family(Item("text", name="txt", text="one two three"), metadata, max_characters=6)


def test_texts_of_one_sample_are_not_run_together() -> None:
    made = family(Item("text", text="one"), Item("text", media=Media(data=b"\xef\xbb\xbftwo")))
    assert [[item.text for item in c.items] for c in made.children] == [["one"], ["two"]]


@pytest.mark.parametrize(
    ("items", "kind", "reason"),
    [
        ((), "declined", "no text"),
        ((Item("text", text=" \n"),), "declined", "no text"),
        ((Item("text", text="a"), Item("image", media=Media(data=b""))), "declined", "holds media"),
        ((Item("text", media=Media(data=b"\xff\xfe\xfa")),), "unreadable", "not UTF-8"),
        ((Item("text"),), "unreadable", "no bytes"),
        ((Item("text", media=Media(uri="/nonexistent/gone", size=3)),), "unreadable", "bytes not readable"),
    ],
)
def test_what_cannot_be_split_says_why(items: tuple[Item, ...], kind: str, reason: str) -> None:
    made = family(*items)
    assert made.children == ()
    assert made.note is not None
    assert (made.note.kind, made.note.reason) == (kind, reason)


def test_real_papers_come_back_whole(data_dir: Path) -> None:
    lines = (data_dir / "text" / "data-juicer__arxiv.jsonl").read_text(encoding="utf-8").splitlines()
    for text in (json.loads(line)["text"] for line in lines[:40]):
        found = chunks(text, max_characters=1000) if text.strip() else []
        assert "".join(found) == (text if text.strip() else "")
        breaks = [a for a, _ in pairwise(found) if not a[-1].isspace()]
        assert len(breaks) <= 0.1 * len(found)


def test_a_large_text_without_any_boundary_is_cut_at_once() -> None:
    assert len(chunks("x" * 3_000_000, max_characters=500)) == 6000
