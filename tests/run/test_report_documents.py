"""The report of a finished run of documents: what it shows, with the values that the rules looked at."""

from __future__ import annotations

import re
from pathlib import Path

from journeys import go, write_tar
from small_pictures import picture

from sluice.store.opened import Run
from sluice.view.document_picks import shelves
from sluice.view.report import build

PROSE = b"The lake lay still, and the boats did not move."


def words_of(page: str, key: str) -> str:
    """The words of one document's article."""
    (found,) = re.findall(
        rf'<article class="document [^>]*><h4><bdi>{key}</bdi>.*?</article>', page, re.DOTALL
    )
    return " ".join(re.sub(r"<[^>]*>", " ", found).split())


def test_a_finished_run_shows_its_documents_with_the_values_of_its_rules(tmp_path: Path) -> None:
    files = {
        "a.0.txt": PROSE,
        "a.1.jpg": picture(1, 30, 30),
        "a.2.jpg": picture(2, 80, 60),
        "a.3.txt": b"Two boats",
        "b.0.txt": PROSE,
        "b.1.jpg": picture(3, 90, 60),
        "c.0.txt": b"Alone here",
        "c.1.jpg": picture(4, 90, 60),
    }
    write_tar(tmp_path / "in/a.tar", files)
    steps = (
        "  - drop_items: {rule: image_width_px < 40, name: narrow}\n"
        "  - keep: {rule: max(text_word_count) >= 3, name: terse}"
    )
    go(tmp_path, steps)
    run = Run.open(str(tmp_path / "out"))
    found = {shelf.title: [d.key for d in shelf.documents] for shelf in shelves(run)}
    assert found == {"Kept without some of their items": ["a"], "Dropped": ["c"], "Kept whole": ["b"]}
    page = build(run)
    assert "Kept without 1 of 4 items: narrow 1." in words_of(page, "a")
    assert "dropped narrow · image_width_px 30 px" in words_of(page, "a")
    assert "Dropped by terse · max(text_word_count) &gt;= 3" in words_of(page, "c")
    assert "Alone here text_word_count 2 words" in words_of(page, "c")
    assert page.count("<img") >= 4


def test_documents_that_were_split_are_shown_as_their_chunks(tmp_path: Path) -> None:
    files = {"a.0.txt": PROSE * 20, "a.1.jpg": picture(1, 90, 60), "a.2.txt": PROSE}
    write_tar(tmp_path / "in/a.tar", files)
    go(tmp_path, "  - split: {sample_split_chunks: {max_tokens: 150}}\n  - drop_items: image_width_px > 80")
    page = build(Run.open(str(tmp_path / "out")))
    assert "dropped image_width_px &gt; 80 · image_width_px 90 px" in words_of(page, "a_0001")
