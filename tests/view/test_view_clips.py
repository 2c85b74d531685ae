"""Clips in the report: frames of them, how long they are, where in their sources they lie."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from fake_clips import ClipRun, FakeClip
from fake_run import FakeRun
from PIL import Image

from browser import browser
from made_videos import made, number_of, numbered
from sluice.view import clips, number
from sluice.view.report import build
from sluice.view.source import column_types

HOSTILE = "<script>document.title='owned'</script>"
LEVEL = {
    "name": "parents", "read": 5, "split": 3, "childless": 1, "failed": 1,
    "reasons": {"childless": {"no clips": 1}, "failed": {"truncated": 1}},
}  # fmt: skip


@pytest.fixture(scope="module")
def run() -> ClipRun:
    video = made(numbered(300), fps=30)
    return ClipRun(
        [
            FakeClip("one", 0.0, 3.0, data=video, text=f"a {HOSTILE} caption", start_kind="start"),
            FakeClip("one", 4.0, 6.0, "dropped", "blurred", data=video),
            FakeClip("one", 6.0, 9.5, "duplicate", "seen", data=video, duplicate_of=0, end_kind="end"),
            FakeClip(HOSTILE, 0.0, 61.0, data=b"broken", start_kind="start", end_kind="end"),
            FakeClip("three", 0.0, 8.0, data=made(numbered(240, 96, 160), fps=30)),
        ],
        [LEVEL],
    )


@pytest.fixture(scope="module")
def page(run: ClipRun) -> str:
    return build(run)


def test_a_tile_shows_frames_of_the_clip_and_its_span(page: str, run: ClipRun) -> None:
    kept = page[page.index('id="kept"') :]
    figure = next(f for f in re.findall(r"<figure.*?</figure>", kept) if "one_0000" in f)
    assert "0:00.0–0:03.0" in figure
    assert "tile clip" in figure
    encoded = re.search(r"base64,([^\"]+)", figure)
    assert encoded is not None
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded[1]))).convert("L"))
    height = (strip.shape[0] - 6) // 3
    numbers = [number_of(strip[k * (height + 3) : k * (height + 3) + height]) for k in range(3)]
    assert numbers == [15, 45, 75], "1/6, 1/2 and 5/6 of three seconds at 30 a second"
    assert "&lt;script&gt;" in figure, "its caption, escaped"


def test_clips_stand_beside_cuts_and_among_duplicates(page: str) -> None:
    rules = page[page.index('id="rules"') : page.index('id="duplicates"')]
    assert "0:04.0–0:06.0" in rules
    assert page[page.index('id="duplicates"') :].count("tile clip") >= 2


def test_a_clip_that_cannot_be_shown_costs_its_tile_only(page: str) -> None:
    assert "no preview: not a video" in page
    assert HOSTILE not in page


def test_the_section_counts_sources_clips_and_seconds(run: ClipRun) -> None:
    section = str(clips.section(run, column_types(run)))
    text = re.sub(r"<[^>]+>", "", section)
    assert "5 videos: 3 gave 5 clips of 77.5 s, 72.0 s of them kept." in text
    assert "1 gave none (no clips). 1 could not be read (truncated)." in text
    assert "Histogram of the lengths of 5 clips in seconds" in text
    assert "3 clips: 1 kept, 1 dropped by blurred, 1 removed as a duplicate by seen" in text


def test_the_most_varied_source_comes_first_with_every_clip_in_its_place(run: ClipRun) -> None:
    found = clips.sources(run)
    assert found[0].name == "one"
    assert [c.fate for c in found[0].clips] == ["kept", "dropped", "duplicate"]
    drawn = str(clips.timeline(found[0]))
    marks = re.findall(r'<rect class="clip (\w+)" x="([\d.]+)%" y="0" width="([\d.]+)%"', drawn)
    places = [(fate, float(x) * 9.5 / 100, float(w) * 9.5 / 100) for fate, x, w in marks]
    for (fate, start, length), clip in zip(places, found[0].clips, strict=True):
        assert fate == clip.fate
        assert (start, start + length) == pytest.approx((clip.start_s, clip.end_s), abs=0.01)
    assert "one_0001: 0:04.0–0:06.0, a cut to a cut; dropped by blurred" in drawn


@pytest.mark.parametrize(
    ("end_s", "times"),
    [
        (0.5, ["0:00.0", "0:00.1", "0:00.2", "0:00.3", "0:00.4", "0:00.5"]),
        (13.0, ["0:00", "0:05", "0:10"]),
        (90.0, ["0:00", "0:15", "0:30", "0:45", "1:00", "1:15", "1:30"]),
        (21_600.0, ["0:00", "1:00:00", "2:00:00", "3:00:00", "4:00:00", "5:00:00", "6:00:00"]),
    ],
)  # fmt: skip
def test_times_below_a_bar_are_round_and_true(end_s: float, times: list[str]) -> None:
    clip = clips.Clip("a", 0.0, end_s, "start", "end", "kept")
    drawn = str(clips.timeline(clips.Source("a", 1, (clip,))))
    assert re.findall(r"<text[^>]*>([^<]*)", drawn) == times


def test_a_bar_ends_where_its_source_does() -> None:
    clip = clips.Clip("a", 0.0, 4.0, "start", "cut", "kept")
    assert 'width="40.000%"' in str(clips.timeline(clips.Source("a", 1, (clip,), 10.0)))
    assert 'width="100.000%"' in str(clips.timeline(clips.Source("a", 1, (clip,))))
    assert 'width="100.000%"' in str(clips.timeline(clips.Source("a", 2, (clip,), 10.0))), "not all are drawn"
    run = ClipRun([FakeClip("a", 0.0, 4.0, source_duration_s=10.0)])
    assert [source.duration_s for source in clips.sources(run)] == [10.0]
    assert "in no clip" in str(clips.section(run, column_types(run)))


def test_copies_of_a_source_are_sources_each() -> None:
    run = ClipRun([FakeClip("a", 0.0, 4.0, source_hash="same"), FakeClip("b", 0.0, 4.0, source_hash="same")])
    text = str(clips.section(run, column_types(run)))
    assert "2 clips of 8.0 s in 2 videos" in text
    assert "Shown:" not in text


def test_sources_of_very_many_clips_and_many_sources_are_cut_short() -> None:
    many = [FakeClip("long", float(k), k + 1.0) for k in range(500)]
    run = ClipRun([*many, *(FakeClip(f"s{k}", 0.0, 2.0) for k in range(20))])
    section = str(clips.section(run, column_types(run)))
    assert "500 clips (the first 400): 400 kept" in section
    assert "Shown: 8 of 21 videos" in section
    assert len(section) < 300_000
    assert "in no clip" not in section


def test_pictures_have_no_such_section(run: ClipRun) -> None:
    pictures = FakeRun([("a", b"x")])
    assert clips.section(pictures, column_types(pictures)) is None
    assert clips.section(ClipRun([FakeClip("a", 0, 1)]), {"source_video": "VARCHAR"}) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0:00.0"), (7.46, "0:07.5"), (59.96, "1:00.0"), (3723.4, "1:02:03.4"), (360_000.0, "100:00:00.0")],
)
def test_moments(seconds: float, text: str) -> None:
    assert number.clock(seconds) == text


def test_short_spans_are_told_to_hundredths() -> None:
    assert number.span(1.0, 1.25) == "0:01.00–0:01.25"


@pytest.mark.parametrize("width_px", [390, 1440])
def test_in_a_browser(page: str, tmp_path: Path, width_px: int) -> None:
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    with browser(tmp_path / "profile") as shown:
        shown.requests()
        shown.open(file, width_px)
        assert shown.complaints() == []
        assert shown.requests() == [file.as_uri()]
        assert shown.run("return document.title") == "clips: curation report"
        assert shown.run("return document.documentElement.scrollWidth") == width_px
        assert shown.run("return [...document.images].filter(i => !i.naturalWidth).length") == 0
        sizes = shown.run(
            "return [...document.querySelectorAll('.tile.clip img')].map(i => i.width / i.height / "
            "(i.naturalWidth / i.naturalHeight))"
        )
        assert sizes
        assert all(abs(ratio - 1) < 0.03 for ratio in sizes), "frames keep their aspect"
        bar = shown.run(
            "const b = document.querySelector('.timeline'); const r = [...b.querySelectorAll('.clip')];"
            "return [b.getBoundingClientRect().right, r.at(-1).getBoundingClientRect().right]"
        )
        assert abs(bar[0] - bar[1]) < 1.5
