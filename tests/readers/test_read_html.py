"""Web pages: what is text and what is a picture, where pictures lie, and how near main content is to the truth."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sluice.errors import UsageError
from sluice.readers.html import HtmlReader
from sluice.readers.markup import _ENCODINGS, decode, encoding_of, parse
from sluice.readers.page import blocks
from sluice.readers.page_fields import stated
from sluice.readers.page_pictures import largest
from sluice.sample import Item, Sample
from sluice.storage import Location


def read(folder: Path, **settings: Any) -> list[Sample]:
    reader = HtmlReader(Location(folder), **settings)
    return [sample for part in reader.slices() for sample in reader.read(part)]


def page(folder: Path, body: str | bytes, **settings: Any) -> Sample:
    data = body if isinstance(body, bytes) else body.encode()
    (folder / "page.html").write_bytes(data)
    (sample,) = read(folder, **{"content": "all", **settings})
    return sample


def shown(sample: Sample) -> list[str]:
    """Texts, and pictures as <address>, in order."""
    return [
        item.text if item.text is not None else f"<{item.fields.get('url', '')}>"
        for item in sample.items
        if item.modality != "metadata"
    ]


def pictures(sample: Sample) -> list[Item]:
    return [item for _, item in sample.of("image")]


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3)).save(file, "PNG")
    return file.getvalue()


PAGE = """<!DOCTYPE html><html lang="en-GB"><head>
<title>A title | Site</title><meta property="og:title" content="A title">
<meta name="author" content="Ada  Byron"><meta property="article:published_time" content="2024-05-06">
<link rel="canonical" href="https://a.example/x/page.html"><style>p {color: red}</style></head>
<body><h1>Heading</h1><p>One <b>bold</b>
  text.</p><figure><img src="img/a.png" alt=" A  cat "><figcaption>The <i>cat</i></figcaption></figure>
<ul><li>first</li><li>second</li></ul>tail<script>var x = 1;</script></body></html>"""


def test_a_document_of_texts_and_pictures_in_order(tmp_path: Path) -> None:
    sample = page(tmp_path, PAGE)
    assert sample.items[0] == Item("metadata", "application/json", "json")
    assert shown(sample) == [
        "Heading", "One bold text.", "<https://a.example/x/img/a.png>", "The cat", "first", "second", "tail",
    ]  # fmt: skip
    assert [item.name for item in sample.items[1:]] == [
        "0.txt", "1.txt", "2.png", "3.txt", "4.txt", "5.txt", "6.txt",
    ]  # fmt: skip
    (picture,) = pictures(sample)
    assert (picture.content_type, picture.media) == ("image/png", None)
    assert picture.fields == {"url": "https://a.example/x/img/a.png", "alt": "A cat", "caption": "The cat"}
    assert sample.fields == {
        "title": "A title",
        "author": "Ada Byron",
        "date": "2024-05-06",
        "language": "en-GB",
        "url": "https://a.example/x/page.html",
    }
    assert (sample.key, sample.notes) == ("page", ())


def test_main_content_is_text_without_menus(tmp_path: Path) -> None:
    paragraphs = "".join(
        f"<p>{'A sentence of the article that says something. ' * 4}{k}</p>" for k in range(6)
    )
    menu = "".join(f'<li><a href="/{k}">Menu {k}</a></li>' for k in range(30))
    body = f"<html><body><nav><ul>{menu}</ul></nav><article>{paragraphs}<img src='https://a.example/a.jpg'>{paragraphs}</article>"
    main = page(tmp_path, body, content="main")
    assert len(pictures(main)) == 1
    assert len(shown(main)) == 13
    assert len(shown(page(tmp_path, body))) == 43


@pytest.mark.parametrize("content", ["main", "all"])
def test_a_page_of_pictures_alone(tmp_path: Path, content: str) -> None:
    sample = page(
        tmp_path, '<img src="https://a.example/1.jpg"><img src="https://a.example/2.jpg">', content=content
    )
    assert shown(sample) == ["<https://a.example/1.jpg>", "<https://a.example/2.jpg>"]


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<p>a<br>b<br><br>c</p>", ["a\nb", "c"]),
        ("a<br> <br/>b", ["a", "b"]),
        ("<pre>  x\n    y\n\n</pre>z", ["  x\n    y", "z"]),
        ("<table><tr><td>1</td><th>2</th></tr></table>", ["1", "2"]),
        ("<p>a<span> b</span>c</p>d<div>e</div>f", ["a bc", "d", "e", "f"]),
        ("x<noscript>turn scripts on</noscript>y<template>no</template>", ["xy"]),
        ("<textarea>no</textarea><select><option>no</select><button>no</button>yes", ["yes"]),
        ("<p hidden>no</p><p style='Display : none'>no<img src=x.png></p>yes", ["yes"]),
        ("<svg><text>no</text></svg><math><mi>no</mi></math><iframe>no</iframe>yes", ["yes"]),
        ("a &amp; b &lt;i&gt; &#x41; &eacute;", ["a & b <i> A é"]),
        ("a<!-- no -->b<?php no ?>", ["ab"]),
        ("<p>unclosed <b>bold<p>next</i></div>", ["unclosed bold", "next"]),
        ("<p>a\xa0 \u2003b\n\nc</p>", ["a b c"]),
    ],
)
def test_what_is_text(tmp_path: Path, markup: str, expected: list[str]) -> None:
    assert shown(page(tmp_path, f"<meta charset=utf-8><body>{markup}")) == expected


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ('<img src="b.jpg" data-src="a.jpg">', ["a.jpg"]),
        ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" data-src="a.jpg">', ["a.jpg"]),
        ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" srcset="a.jpg 1x, b.jpg 2x">', ["b.jpg"]),
        ('<img srcset="s.jpg 320w,l.jpg 1280w, m.jpg 640w">', ["l.jpg"]),
        ('<img src="a.jpg" srcset="b.jpg 2x">', ["a.jpg"]),
        ('<img data-srcset="a,b.jpg 2x">', ["a,b.jpg"]),
        ('<picture><source srcset="a.webp 1x, b.webp 2x"><img alt="x"></picture>', ["b.webp"]),
        ('<picture><source srcset="a.webp"><img src="c.jpg"></picture>', ["c.jpg"]),
        ('<img class="lazy"><noscript><img src="a.jpg"></noscript>', ["a.jpg"]),
        ('<img class="lazy">\n <noscript>\n<img src="a.jpg"></noscript>', ["a.jpg"]),
        ('<img data-src="a.jpg"> <noscript><img src="a.jpg"></noscript>', ["a.jpg"]),
        ('text<noscript><img src="a.jpg"></noscript>', ["a.jpg"]),
        (
            '<img width="1" height="1" src="t.gif"><img width=1px height=0 src="u.gif"><img width=1 src="a.jpg">',
            ["a.jpg"],
        ),
        ("<img><img src=''><img src='javascript:alert(1)'><img src='about:blank'><img src='blob:x'>", []),
        (
            '<img src="a.svg"><img src="a.svg?x#y"><img src="data:image/svg+xml,&lt;svg/>"><img src="a.svg.png">',
            ["a.svg.png"],
        ),
        ('<img src=" a\n.jpg ">', ["a.jpg"]),
        ('<img src="?id=7">', ["page.html?id=7"]),
        ('<img src="//b.example/c.jpg">', ["http://b.example/c.jpg"]),
        ('<img src="/r.jpg">', ["http://a.example/r.jpg"]),
        ('<img src="file:///etc/passwd"><img src="ftp://a.example/x.jpg"><img src="http://[::1/x">', []),
    ],
)
def test_where_pictures_are(tmp_path: Path, markup: str, expected: list[str]) -> None:
    base = "http://a.example/d/"
    sample = page(tmp_path, f'<base href="{base}page.html"><body>.{markup}')
    assert [item.fields.get("url") for item in pictures(sample)] == [
        e if ":" in e else base + e for e in expected
    ]
    assert sample.notes == ()


@given(st.text("ab,. 0123wx/", max_size=40))
def test_any_srcset_is_read(candidates: str) -> None:
    assert isinstance(largest(candidates), str)


def test_pictures_beside_the_page(tmp_path: Path) -> None:
    (tmp_path / "page_files").mkdir()
    (tmp_path / "page_files" / "a b.png").write_bytes(png())
    (tmp_path.parent / "outside.png").write_bytes(png())
    (tmp_path / "link.png").symlink_to(tmp_path.parent / "outside.png")
    addresses = (
        "./page_files/a%20b.png?v=1",
        "gone.png",
        "../outside.png",
        "link.png",
        "x" * 5000,
        "a%00b.png",
        "/a.png",
    )
    sample = page(tmp_path, "x" + "".join(f'<img src="{address}">' for address in addresses))
    first, *others = pictures(sample)
    assert first.media is not None
    assert first.media.read() == png()
    assert first.content_type == "image/png"
    assert all(item.media is None for item in others)
    told = ["file missing", "unsafe path", "unsafe path", "file missing", "unsafe path", "no address"]
    assert [(n.kind, n.item, n.reason) for n in sample.notes] == [
        ("unreadable", k, reason) for k, reason in enumerate(told, start=3)
    ]


def test_a_file_beside_is_preferred_to_the_web_and_the_web_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    sample = page(
        tmp_path, '<link rel=canonical href="http://w.example/p/"><body>.<img src=a.png><img src=b.png>'
    )
    here, there = pictures(sample)
    assert here.media is not None
    assert there.fields == {"url": "http://w.example/p/b.png"}
    assert sample.notes == ()


def test_base_url_is_the_address_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "s p").mkdir()
    (tmp_path / "s p" / "x.HTM").write_text("text<img src=../i.jpg>")
    (sample,) = read(tmp_path, base_url="https://w.example/r/", content="all")
    assert sample.key == "s p/x"
    assert [item.fields["url"] for item in pictures(sample)] == ["https://w.example/r/i.jpg"]
    with pytest.raises(UsageError, match="base_url"):
        HtmlReader(Location(tmp_path), base_url="nowhere")
    with pytest.raises(UsageError, match="columns"):
        HtmlReader(Location(tmp_path), columns={"text": "t"})


def test_data_urls_are_decoded(tmp_path: Path) -> None:
    coded = base64.b64encode(png()).decode()
    quoted = "".join(f"%{byte:02X}" for byte in png())
    good = (
        f"data:image/png;base64,{coded}",
        f"data:;charset=x;base64,{coded.rstrip('=')}",
        f"DATA:image/jpeg,{quoted}",
    )
    bad = (
        "data:image/png;base64,AAAA",
        "data:text/html,hello",
        "data:image/png",
        "data:image/png;base64,!!!",
    )
    sample = page(tmp_path, "x" + "".join(f'<img src="{url}">' for url in (*good, *bad)))
    found = pictures(sample)
    assert [item.media.read() if item.media else None for item in found] == [png()] * 3 + [None] * 4
    assert {item.name for item in found[:3]} == {"1.png", "2.png", "3.png"}
    assert [(note.reason, note.item) for note in sample.notes] == [
        ("not an image", 5), ("not an image", 6), ("bad data URL", 7), ("not an image", 8),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("<meta charset=windows-1251><p>Привет".encode("cp1251"), "Привет"),
        (
            "<meta http-equiv=content-type content='text/html; charset=Shift_JIS'><p>日本".encode("cp932"),
            "日本",
        ),
        ("<meta charset=iso-8859-1><p>“quoted” €".encode("cp1252"), "“quoted” €"),
        ("<meta charset=gb2312><p>\u9555".encode("gb18030"), "\u9555"),
        ("<p>naïve".encode(), "naïve"),
        ("<p>naïve".encode("latin-1"), "naïve"),
        ("<meta charset=latin1><p>naïve".encode("utf-8-sig"), "naïve"),
        ("<p>naïve".encode("utf-16"), "naïve"),
        ("<p>x".encode("utf-16-be").join([b"\xfe\xff", b""]), "x"),
        (b"<meta charset=utf-16><p>x", "x"),
        (b"<meta charset=unicode_escape><p>\\x41", "\\x41"),
        (b"<meta charset=no-such><p>x", "x"),
        (b"<meta charset=utf-8><p>a\xffb", "a\ufffdb"),
        (b"<meta charset=utf-8><p>a\0b", "a\ufffdb"),
        (
            '<?xml version="1.0" encoding="iso-8859-15"?><html><body><p>€</p></body></html>'.encode(
                "iso8859-15"
            ),
            "€",
        ),
    ],
)
def test_encodings(tmp_path: Path, data: bytes, expected: str) -> None:
    assert shown(page(tmp_path, data)) == [expected]


def test_a_servers_word_is_before_the_pages() -> None:
    assert decode("<meta charset=utf-8>é".encode("latin-1"), "ISO-8859-1").endswith("é")
    assert {encoding_of(name) for name in _ENCODINGS} == _ENCODINGS
    assert not any(
        map(encoding_of, ("", "zlib", "rot13", "utf-7", "idna", "\0", "hex", "undefined", "x" * 999))
    )


@pytest.mark.parametrize("content", ["main", "all"])
@pytest.mark.parametrize(
    "body", ["", " \n", "<html><body></body></html>", "<script>x()</script>", "<img src='a.svg'>", "<!-- -->"]
)
def test_pages_without_content_fail(tmp_path: Path, body: str, content: str) -> None:
    sample = page(tmp_path, body, content=content)
    assert (sample.items, sample.notes[0].kind, sample.notes[0].reason) == ((), "read", "no content")


def test_slices_rows_and_ids_agree(tmp_path: Path) -> None:
    for k in range(30):
        (tmp_path / f"{k:02}.html").write_text(f"page {k}" if k % 7 else "")
    (tmp_path / "readme.txt").write_text("no page")
    reader = HtmlReader(Location(tmp_path), content="all")
    parts = list(reader.slices())
    assert sum(part.samples or 0 for part in parts) == 30
    for part in parts:
        whole = list(reader.read(part))
        assert len(whole) == part.samples
        wanted = {0, len(whole) - 1}
        assert list(reader.read(part, wanted)) == [whole[k] for k in sorted(wanted)]
    assert len({s.id for p in parts for s in reader.read(p)}) == 30


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("<title> A\n b </title>", {"title": "A b"}),
        ("<svg><title>no</title></svg>", {}),
        ("<meta name=dc.creator content=Ada><meta property=article:author content=http://a/>", {"author": "Ada"}),
        ("<meta property=article:author content='https://a.example/ada'>", {}),
        ("<time pubdate datetime='2020-01-02'>yesterday</time>", {"date": "2020-01-02"}),
        ("<meta name=language><meta http-equiv=Content-Language content='UTF-8'>", {}),
        ("<meta property=og:locale content=de_AT>", {"language": "de-AT"}),
        ("<link rel='x canonical' href=/r><meta property=og:url content=http://a/>", {"url": "http://a/"}),
        ("<link rel=canonical href='http://[bad'>", {}),
    ],
)  # fmt: skip
def test_what_a_page_states(head: str, expected: dict[str, str]) -> None:
    assert stated(parse(f"<html><head>{head}</head><body>x".encode())) == expected


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def _f1(found: Counter[str], true: Counter[str]) -> float:
    return 2 * sum((found & true).values()) / (sum(found.values()) + sum(true.values()))


def _name(address: str) -> str:
    return address.partition("?")[0].rpartition("/")[2]


def test_main_content_of_real_pages_is_near_the_truth(data_dir: Path) -> None:
    """Truth: what Mozilla's reader mode shows of each page. Measured: mean F1 .962, pictures .985 found, .914 right."""
    scores, found_all, true_all, both = [], 0, 0, 0
    for expected in sorted((data_dir / "interleaved" / "web").glob("*/expected.html")):
        truth = lxml.html.fromstring(expected.read_bytes(), parser=lxml.html.HTMLParser(encoding="utf-8"))
        found = blocks(parse(expected.with_name("source.html").read_bytes()), "main")
        score = _f1(_words(" ".join(b.text for b in found)), _words(truth.text_content()))
        assert score > 0.8, expected.parent.name
        scores.append(score)
        shown = [i.get("src") for i in truth.iter("img") if i.get("width") != "1"]
        ours, true = (
            [_name(b.address) for b in found if b.is_picture],
            [_name(s) for s in shown if s[:5] != "file:"],
        )
        common = Counter(ours) & Counter(true)
        both, found_all, true_all = both + common.total(), found_all + len(ours), true_all + len(true)
        assert _in_order([n for n in ours if n in common], [n for n in true if n in common])
    assert len(scores) == 12
    assert sum(scores) / len(scores) > 0.95
    assert both / true_all > 0.97
    assert both / found_all > 0.9


def _in_order(ours: list[str], true: list[str]) -> bool:
    """Whether pictures that appear once in each stand in the same order."""
    once = {n for n in ours if ours.count(n) == 1 == true.count(n)}
    return [n for n in ours if n in once] == [n for n in true if n in once]


def test_fields_of_real_pages(data_dir: Path) -> None:
    for path in sorted((data_dir / "interleaved" / "web").glob("*/expected-metadata.json")):
        true, found = json.loads(path.read_text()), stated(parse(path.with_name("source.html").read_bytes()))
        assert found["title"].startswith(" ".join(true["title"].split()))
        assert found.get("language") in (true.get("lang"), None)
        assert found.get("author") in (true.get("byline"), None)


def test_the_duck(data_dir: Path) -> None:
    found = read(data_dir / "interleaved" / "web" / "wiki_duck")
    (duck,) = found
    assert duck.fields["url"] == "https://en.wikipedia.org/wiki/Duck"
    assert "Male Mandarin duck" in [item.fields.get("caption") for item in pictures(duck)]
    assert all(item.fields["url"].startswith("https://upload.wikimedia.org/") for item in pictures(duck))
    assert any(text.startswith("Ducks eat food sources such as grasses") for text in shown(duck))


def test_nothing_is_imported_before_a_page_is_read() -> None:
    code = (
        "import sys, sluice, sluice.readers.html, sluice.readers.warc\n"
        "print([m for m in ('lxml', 'trafilatura', 'warcio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
