"""The pages that show documents: in order, what was dropped in place with its reason, bounded, and harmless."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fake_run import HOSTILE_KEY, HOSTILE_TEXT, DocumentRun, FakeDocument, FakeRun, encoded, noise
from hypothesis import given
from hypothesis import strategies as st

from browser import browser
from sluice.errors import StorageError
from sluice.sample import Item, Media
from sluice.view import documents
from sluice.view.document_picks import shelves
from sluice.view.documents import MOST_ITEMS, MOST_LOST, excerpt, shown_places
from sluice.view.report import build
from sluice.view.tiles import Tiles

PROSE = "The lake lay still, and the boats did not move. "
METADATA = Item("metadata", "application/json", "json")


def text(words: str, place: int) -> Item:
    return Item("text", "text/plain", f"{place}.txt", text=words)


def image(place: int, width: int = 300, **fields: Any) -> Item:
    data = encoded(noise(width + place, width, 200))
    return Item(
        "image", "image/jpeg", f"{place}.jpg", media=Media(data=data), fields={"width": width, **fields}
    )


def tale(*items: Any) -> tuple[Item, ...]:
    """A document: texts as they are, pictures by their widths."""
    made = (text(each, k) if isinstance(each, str) else image(k, each) for k, each in enumerate(items))
    return (METADATA, *made)


def collection() -> list[FakeDocument]:
    """Documents of every fate; one with a hostile key and texts."""
    return [
        FakeDocument(
            "thin",
            tale(PROSE * 3, 120, "Two boats", 300, PROSE),
            lost=((2, "narrow", "dropped", None), (3, "terse", "dropped", None)),
        ),
        FakeDocument("torn", tale(PROSE, 300, PROSE), lost=((2, None, "failed", "truncated"),)),
        FakeDocument(
            "twice", tale(PROSE, 320, "A last word"), lost=((2, "narrow", "duplicate", "like an item of 'whole'"),)
        ),
        FakeDocument("lone", tale("One text alone", 301), "dropped", "few"),
        FakeDocument("slim", tale(PROSE, 90, PROSE, 330), "dropped", "all(image_width_px >= 100)"),
        FakeDocument(
            "empty", tale("Word", 50), "dropped", "narrow", "no content left",
            ((1, "terse", "dropped", None), (2, "narrow", "dropped", None)),
        ),
        FakeDocument("copy", tale(PROSE * 2, 302, PROSE), "duplicate", "seen before", duplicate_of=7),
        FakeDocument("whole", tale(PROSE * 2, 302, PROSE, 303, 304)),
        FakeDocument(HOSTILE_KEY, (METADATA, text(HOSTILE_TEXT, 0), image(1, alt=HOSTILE_TEXT)),
                     lost=((1, "terse", "dropped", HOSTILE_TEXT.replace("\ud800", "")),)),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def page() -> str:
    return build(DocumentRun(collection()))


class _Reader(HTMLParser):
    """The page's text as it is read; dropped items in brackets, pictures as stars."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.read = ""
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "img":
            self.read += "*"
            return
        classes = dict(attrs).get("class") or ""
        self._open.append("]" if " lost" in f" {classes}" else "")
        self.read += "[" if self._open[-1] else " "

    def handle_endtag(self, tag: str) -> None:
        if tag != "img" and self._open:
            self.read += self._open.pop() or " "

    def handle_data(self, data: str) -> None:
        self.read += data


def article(page: str, key: str) -> str:
    """One document as it is read, in one line."""
    (found,) = re.findall(
        rf'<article class="document [^>]*><h4><bdi>{re.escape(key)}</bdi>.*?</article>', page, re.S
    )
    reader = _Reader()
    reader.feed(found.replace("<meta ", "<m "))
    return " ".join(reader.read.split())


def test_a_document_is_read_in_order_with_what_was_dropped_in_place(page: str) -> None:
    assert article(page, "thin") == " ".join(
        f"thin Kept without 2 of 5 items: narrow 1, terse 1. {PROSE * 3}"
        "[ * dropped narrow · image_width_px 120 px ] [ Two boats dropped terse · text_word_count 2 words ]"
        f" * {PROSE}".split()
    )
    assert "[ * left out truncated ]" in article(page, "torn")
    assert "[ * duplicate narrow · image_width_px 320 px · like an item of 'whole' ]" in article(
        page, "twice"
    )


def test_dropped_documents_say_by_which_rule_and_what_it_saw(page: str) -> None:
    lone = article(page, "lone")
    assert "Dropped by few · sample_text_count >= 2 · sample_text_count 1 texts ." in lone
    slim = article(page, "slim")
    assert "Dropped by all(image_width_px >= 100) ." in slim
    assert re.search(r"\* image_width_px 90 px .*\* image_width_px 330 px", slim), (
        "what the rule saw, at each picture"
    )
    assert "[" not in slim
    gone = article(page, "empty")
    assert (
        "Dropped by narrow · image_width_px < 200 · no content left. It had lost 2 of 2 items before." in gone
    )
    assert gone.count("[") == 2
    assert "Duplicate by seen before · dedup by text_minhash, similarity 0.8 · of whole ." in article(
        page, "copy"
    )
    assert "Kept whole: 2 texts, 3 pictures." in article(page, "whole")


def test_the_lots_are_counted_and_drawn_the_same_every_time() -> None:
    many = [FakeDocument(f"d{k:03d}", tale(PROSE, 300, PROSE)) for k in range(40)]
    many += [FakeDocument(f"n{k:03d}", tale(PROSE, 300), "dropped", "narrow") for k in range(30)]
    many += [FakeDocument("rare", tale(PROSE, 300), "dropped", "few")]
    first, again = (shelves(DocumentRun(many)) for _ in range(2))
    assert first == again
    assert [(shelf.title, shelf.total, len(shelf.documents)) for shelf in first] == [
        ("Dropped", 31, 4),
        ("Kept whole", 40, 2),
    ]
    assert "rare" in {d.key for d in first[0].documents}, "every rule has its turn"
    assert first != shelves(DocumentRun(many), seed=1)


def test_captioned_pictures_have_no_such_section(run: FakeRun) -> None:
    assert shelves(run) == []
    assert 'id="documents"' not in build(run)


def test_fates_that_say_nothing_of_items_are_tolerated() -> None:
    found = shelves(DocumentRun(collection(), told=False))
    assert [shelf.title for shelf in found] == ["Dropped", "Kept whole"]
    assert 'id="documents"' in build(DocumentRun(collection(), told=False))


def test_nothing_in_a_document_becomes_markup(page: str) -> None:
    reader = _Reader()
    reader.feed(page)
    assert "script" not in reader.tags
    assert "<script>" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 3, "as text, alternative text and reason"
    assert "style=" not in page
    page.encode("utf-8")


@given(st.integers(0, 200), st.data())
def test_what_a_document_lost_is_shown_and_the_rest_is_bounded(count: int, data: st.DataObject) -> None:
    lost = sorted(data.draw(st.sets(st.integers(0, count - 1)))) if count else []
    shown = shown_places(count, lost)
    assert shown == sorted(set(shown))
    assert set(lost[:MOST_LOST]) <= set(shown) <= set(range(count))
    assert len(shown) <= MOST_ITEMS + 2 * MOST_LOST
    if count <= MOST_ITEMS:
        assert shown == list(range(count))


def test_a_long_document_is_elided_but_for_what_it_lost() -> None:
    items = tale(*[each for k in range(500) for each in (f"Text number {k}.", 210)])
    run = DocumentRun([FakeDocument("long", items, lost=((401, "terse", "dropped", None),))])
    read = article(build(run), "long")
    assert "197 pictures, 197 texts" in read
    assert "298 pictures, 298 texts" in read
    assert "[ Text number 200. dropped terse · text_word_count 3 words ]" in read
    assert "Text number 100." not in read
    all_gone = tuple((k, "terse", "dropped", None) for k in range(1, 1001, 2))
    read = article(build(DocumentRun([FakeDocument("long", items, lost=all_gone)])), "long")
    assert read.count("[") == MOST_LOST
    assert sum(map(int, re.findall(r"(\d+) of them dropped", read))) == 500 - MOST_LOST


@given(st.text(max_size=3000))
def test_an_excerpt_is_bounded_and_begins_and_ends_as_the_text_does(words: str) -> None:
    shown = re.sub(r"<[^>]*>", "", excerpt(words))
    assert len(re.sub(r"&[^;]*;", "x", shown)) <= 480 + 160 + 240 + 40


def test_an_excerpt_leaves_out_the_middle_between_words() -> None:
    words = " ".join(f"word{k}" for k in range(400))
    shown = re.sub(r"<[^>]*>", "", excerpt(words))
    assert re.fullmatch(r"word0 word1 .* word\d+ … [\d,]+ characters … word\d+ .* word399", shown)


def test_pictures_keep_to_the_budget_of_documents() -> None:
    noisy = [FakeDocument(f"d{k}", tale("One", *[640 + n for n in range(10)], "Two")) for k in range(2)]
    run = DocumentRun(noisy)
    tiles = Tiles(run, budget_bytes=60_000)
    shown = documents.section(run, tiles, shelves(run))
    assert 40_000 < tiles.used_bytes <= 60_000
    assert "left out to keep this page small" in shown
    assert len(build(run)) < documents.BUDGET_BYTES * 4 / 3 + 400_000


def test_what_cannot_be_shown_says_why() -> None:
    items = (
        text("A text", 0),
        Item("image", "image/jpeg", "1.jpg", fields={"url": "https://a.example/<b>.jpg", "alt": "A red bus"}),
        Item("image", "image/jpeg", "2.jpg"),
        Item("image", "image/jpeg", "3.jpg", media=Media(data=b"no picture")),
        Item("image", "image/jpeg", "4.jpg", media=Media(uri="/nonexistent/gone", size=9)),
        Item("text", "text/plain", "5.txt", media=Media(uri="/nonexistent/gone", size=9)),
        Item("other", "", "6.npy", media=Media(data=b"")),
        Item("video", "video/mp4", "7.mp4", media=Media(data=b"")),
    )
    read = article(build(DocumentRun([FakeDocument("odd", items)])), "odd")
    assert "picture at https://a.example/<b>.jpg A red bus no picture no preview: not an image" in read
    assert "no preview: the source is out of reach this text cannot be read" in read
    assert "other item 6.npy video 7.mp4" in read


def test_a_source_out_of_reach_costs_the_documents_only() -> None:
    class Gone(DocumentRun):
        def document(self, ordinal: int) -> tuple[Item, ...]:
            raise StorageError("gone")

    page = build(Gone(collection()))
    assert "no preview: the source is out of reach" in article(page, "whole")
    assert "Dropped by few" in article(page, "lone")


@pytest.mark.parametrize(("width_px", "dark"), [(400, False), (400, True), (1280, False)])
def test_in_a_browser(page: str, tmp_path: Path, width_px: int, dark: bool) -> None:
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    with browser(tmp_path / "profile") as shown:
        shown.requests()
        shown.open(file, width_px, dark=dark)
        assert shown.complaints() == []
        assert shown.requests() == [file.as_uri()]
        assert shown.run("return document.documentElement.scrollWidth") == width_px
        assert (
            shown.run("return [...document.images].filter(i => !i.complete || !i.naturalWidth).length") == 0
        )
        assert shown.run(_LEAVING_THEIR_DOCUMENT) == []
        assert shown.run(_OUT_OF_ORDER) == []
        assert (
            shown.run("return getComputedStyle(document.querySelector('.lost del')).textDecorationLine")
            == "line-through"
        )
        assert (
            float(shown.run("return getComputedStyle(document.querySelector('figure.lost img')).opacity"))
            < 0.6
        )


_LEAVING_THEIR_DOCUMENT = """
return [...document.querySelectorAll('.document')].flatMap(d => {
  const box = d.getBoundingClientRect();
  return [...d.querySelectorAll('img, .words, .why')].filter(e => {
    const r = e.getBoundingClientRect();
    return r.left < box.left || r.right > box.right + 0.5;
  }).map(e => e.outerHTML.slice(0, 80));
})
"""
_OUT_OF_ORDER = """
return [...document.querySelectorAll('.reading')].flatMap(d => {
  const tops = [...d.children].map(e => e.getBoundingClientRect());
  return tops.slice(1).filter((r, k) => r.top < tops[k].bottom - 0.5).map(r => r.top);
})
"""
