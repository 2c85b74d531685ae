"""Pages made to break their reader: each fails alone with its reason, or reads as what it shows, and soon."""

from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from picture_server import Answer, serving
from sluice.errors import ReadError
from sluice.readers import markup
from sluice.readers import page as pages
from sluice.readers.html import HtmlReader
from sluice.readers.markup import parse
from sluice.readers.page import Block, Content, blocks
from sluice.sample import Sample
from sluice.storage import Location

BOTH: tuple[Content, ...] = ("main", "all")


def read(folder: Path, body: str | bytes, content: Content) -> Sample:
    (folder / "page.html").write_bytes(body if isinstance(body, bytes) else body.encode())
    reader = HtmlReader(Location(folder), content=content)
    (sample,) = (s for part in reader.slices() for s in reader.read(part))
    return sample


def outcome(sample: Sample) -> str:
    return "" if sample.items else f"{sample.notes[0].kind}: {sample.notes[0].reason}"


@pytest.mark.parametrize("content", BOTH)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<div>" * 100_000 + "text", "read: nested too deeply"),
        ("<b>bold" * 5_000, "read: nested too deeply"),
        ("<table><tr><td>" * 1_000 + "x", "read: nested too deeply"),
        ("<p " + " ".join(f"a{k}=1" for k in range(100_000)) + ">x", "read: page too large"),
        ("<p " + " ".join(f"a{k}" for k in range(100_000)) + ">x", "read: page too large"),
        ("</div>" * 100_000, "read: no content"),
        ("<" * 500_000, ""),
        ("<!--" * 100_000, "read: no content"),
        ("<script>" + "x" * 1_000_000, "read: no content"),
        ("\0" * 10, ""),
        ("<div>" * 400 + "text", ""),
        ("&lt;" * 100_000, ""),
        ("<p>" + "word " * 200_000, ""),
        ("<p>a</p>\n" * 5_000, ""),
        ('text<img src="' + "x" * 500_000 + '">', ""),
        ("text<img alt='" + "x " * 500_000 + "' src=a.png>", ""),
        ("<p>&#0;&#xD800;&#x110000;&#99999999999;&nosuch;", ""),
        ("<p>a\x01\x08\x1bb&#1;\ufffe&#xffff;", ""),
        ("<frameset><frame src=a></frameset>text", ""),
    ],
    ids=lambda value: str(value)[:24],
)  # fmt: skip
def test_each_ends_soon_with_its_reason(tmp_path: Path, body: str, expected: str, content: Content) -> None:
    begun = time.monotonic()
    sample = read(tmp_path, body, content)
    assert outcome(sample) == expected
    assert time.monotonic() - begun < 20
    for item in sample.items:
        (item.text or "").encode()  # what no column could hold


def test_limits_on_bytes_and_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_BLOCKS", 100)
    assert outcome(read(tmp_path, "<p>x" * 100, "all")) == ""
    assert outcome(read(tmp_path, "<p>x" * 101, "all")) == "read: page too large"
    for module in (markup, __import__("sluice.readers.html", fromlist=["x"])):
        monkeypatch.setattr(module, "LONGEST_PAGE", 1000)
    assert outcome(read(tmp_path, "x" * 1000, "all")) == ""
    assert outcome(read(tmp_path, "x" * 1001, "all")) == "read: page too large"


@pytest.mark.parametrize("content", BOTH)
def test_ten_thousand_pictures(tmp_path: Path, content: Content) -> None:
    paragraph = "<p>A paragraph, number {0}, of a long list of pictures.<img src=http://a.example/{0}.jpg>"
    body = "".join(paragraph.format(k) for k in range(10_000))
    sample = read(tmp_path, body, content)
    assert [item.fields["url"] for _, item in sample.of("image")] == [
        f"http://a.example/{k}.jpg" for k in range(10_000)
    ]
    assert len(sample.of("text")) == 10_000


def test_nothing_is_fetched_and_no_entity_is_looked_up(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the secret")
    with serving() as server:
        server.answers["/x"] = Answer(b"fetched")
        body = f"""<?xml version="1.0"?><!DOCTYPE html SYSTEM "{server.url}/x" [<!ENTITY a SYSTEM "{server.url}/x">
            <!ENTITY b SYSTEM "file://{tmp_path}/secret.txt"><!ENTITY c "&b;&b;">
            <!ENTITY % d SYSTEM "{server.url}/x"> %d;]>
            <html xmlns:xi="http://www.w3.org/2001/XInclude"><head><link rel=stylesheet href="{server.url}/x">
            <script src="{server.url}/x"></script><meta http-equiv=refresh content="0;url={server.url}/x"></head>
            <body><p>seen &a; &b; &c; <xi:include href="file://{tmp_path}/secret.txt" parse="text"/></p>
            <iframe src="{server.url}/x"></iframe><img src="{server.url}/x.png"></body></html>"""
        for content in BOTH:
            sample = read(tmp_path, body, content)
            text = " ".join(item.text or "" for item in sample.items)
            assert "seen" in text
            assert "secret" not in text.replace("secret.txt", "")
            assert "fetched" not in text
        assert not server.hits


def test_a_page_written_in_cuneiform_keeps_its_text(tmp_path: Path) -> None:
    """Blocks are numbered with letters of scripts that the page does not use."""
    sentence = "𒀀𒁀𒂀 𒃀𒄀 𒅀𒆀𒇀 and as much of a sentence as makes a paragraph of an article. " * 3
    body = f"<nav>{'<a href=x>menu</a> ' * 40}</nav><article>" + f"<p>{sentence}</p>" * 6 + "</article>"
    sample = read(tmp_path, body, "main")
    assert [item.text for _, item in sample.of("text")] == [sentence.strip()] * 6


def test_the_library_says_nothing_and_warns_of_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for body in (
            "<p>x",
            "<img src=http://a.example/a.png>",
            "<div>" * 600,
            "<title>x</title>",
            "<nav>a b c</nav>",
        ):
            read(tmp_path, body, "main")
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("trafilatura").level == logging.NOTSET  # whoever wants to hear it can


PIECES = st.sampled_from(
    ["<p>", "</p>", "<div hidden>", "</div>", "<table><tr>", "</td>", "<img src=a.jpg>", "<img src='data:,x'>", "<br>",
     "<figure>", "<figcaption>", "</figure>", "<noscript>", "</noscript>", "<pre>", "</pre>", "<script>", "</script>",
     "<svg>", "<!--", "-->", "text ", "word", "\n", "&amp;", "<a href=x>", "</a>", "<body>", "</html>", "<h1>", "<li>",
     "<picture>", "<source srcset='x 2x'>", "</body><p>", "<base href='http://a/'>", "<![CDATA[", "<?x", "\x00", "é"]
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=30), st.sampled_from(BOTH))
def test_any_markup_is_blocks_in_order_or_a_reason(pieces: list[str], content: Content) -> None:
    data = "".join(pieces).encode()
    everything, _ = blocks_or_reason(data, "all")
    assert all(bool(block.text) != block.is_picture for block in everything)
    found, reason = blocks_or_reason(data, content)
    assert bool(found) != bool(reason)
    assert reason in ("", "no content")
    rest = iter(everything)
    assert all(block in rest for block in found), "a part of all, in the same order"


def blocks_or_reason(data: bytes, content: Content) -> tuple[list[Block], str]:
    try:
        return blocks(parse(data), content), ""
    except ReadError as error:
        return [], error.reason
