"""The page: its numbers, its safety, its size, and how it looks to a browser."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_run import FakeRun

from browser import browser
from conftest import HOSTILE_KEY
from sluice.view.report import build
from sluice.view.source import RuleInfo


class _Outline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "img":
            assert dict(attrs)["alt"], "every picture has a text for those who cannot see it"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def page(run: FakeRun) -> str:
    return build(run)


def outline(page: str) -> _Outline:
    found = _Outline()
    found.feed(page)
    return found


def test_the_numbers_of_the_run_are_on_the_page(run: FakeRun, page: str) -> None:
    text = " ".join("".join(outline(page).text).split())
    s = run.summary
    assert min(s[k] for k in ("kept", "dropped", "duplicate", "failed")) > 0, "the run shows every fate"
    equation = f"{s['read']} read = {s['kept']} kept + {s['dropped']} dropped"
    assert f"{equation} + {s['duplicate']} duplicates + {s['failed']} failed ✓ nothing lost" in text
    for reason in s["failures"]:
        assert reason in text
    for rule in run.rules:
        assert rule.name in text


def test_counts_that_do_not_add_up_are_called_out() -> None:
    broken = FakeRun([("a", b"")], summary={"kept": 7})
    assert "✗ does not add up" in build(broken)


def test_nothing_in_a_sample_becomes_markup(page: str) -> None:
    found = outline(page)
    assert "script" not in found.tags
    assert not {a for a in found.attributes if a.startswith("on")}
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "onerror=alert(1)&gt;" in page
    assert HOSTILE_KEY in "".join(found.text), "shown as it is, inside an isolating element"
    page.encode("utf-8")


def test_the_page_needs_nothing_else(page: str) -> None:
    assert "default-src 'none'" in html.unescape(page)
    assert "style=" not in page, "the policy allows the one style sheet only"
    assert not re.findall(r"""(?:src|href|url\()=?["'(]*(?:https?:)?//""", page)
    assert "link" not in outline(page).tags
    assert len(page) < 5_000_000


def test_the_thumbnails_keep_to_their_budget(run: FakeRun) -> None:
    from sluice.view import picks
    from sluice.view.tiles import Tiles

    tiles = Tiles(run, budget_bytes=20_000)
    shown = "".join(tiles.tile(p) for p in picks.kept_at_random(run, 24))
    assert len(shown) < 20_000 * 4 / 3 + 24 * 600
    assert "left out to keep this page small" in shown


def test_a_source_out_of_reach_costs_the_thumbnails_only(run: FakeRun) -> None:
    absent = replace(run, summary={})
    absent.pictures = [(key, None) for key, _ in run.pictures]
    page = build(absent)
    assert "<img" not in page
    assert "no preview" in page


def test_an_empty_run_has_a_report() -> None:
    nothing = FakeRun([("x", b"")], rules=(RuleInfo("r", "image_width_px >= 1"),))
    assert "1 read = 0 kept" in build(nothing)


@pytest.mark.parametrize(("width_px", "dark"), [(390, False), (390, True), (768, False), (1440, False)])
def test_in_a_browser(page: str, run: FakeRun, tmp_path: Path, width_px: int, dark: bool) -> None:
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    with browser(tmp_path / "profile") as shown:
        shown.requests()
        shown.open(file, width_px, dark=dark)
        assert shown.complaints() == []
        assert shown.requests() == [file.as_uri()]
        assert shown.run("return document.title") == "images: curation report"
        assert shown.run("return document.documentElement.scrollWidth") == width_px
        assert str(run.summary["kept"]) in shown.run("return document.querySelector('.card.kept').innerText")
        assert shown.run(_BROKEN_PICTURES) == 0
        assert shown.run(_CLIPPED_LABELS) == []
        assert shown.run(_OVERLAPPING_LABELS) == []


_BROKEN_PICTURES = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
_CLIPPED_LABELS = """
return [...document.querySelectorAll('svg.hist text')].filter(t => {
  const r = t.getBoundingClientRect();
  return r.left < 0 || r.right > document.documentElement.clientWidth;
}).map(t => t.textContent)
"""
_OVERLAPPING_LABELS = """
const met = [];
for (const svg of document.querySelectorAll('svg.hist')) {
  const boxes = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
  boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
    if (p.left < q.right && q.left < p.right && p.top + 2 < q.bottom && q.top + 2 < p.bottom) met.push(a + ' / ' + b);
  }));
}
return met
"""
