"""Web archives: which records are pages, how they are packed, and what damage costs: itself, and nothing beside it."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.errors import UsageError
from sluice.readers import warc
from sluice.readers.protocol import Slice
from sluice.readers.warc import WarcReader
from sluice.readers.warc_records import Damage, records
from sluice.sample import Sample
from sluice.storage import Location

HTML = ("Content-Type", "text/html; charset=utf-8")


def http(body: bytes, *header: tuple[str, str], status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in header or (HTML,))]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def record(
    content: bytes, kind: str = "response", url: str = "http://a.example/d/p", length: int | None = None
) -> bytes:
    size = len(content) if length is None else length
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-01-02T03:04:05Z\r\n"
    head += (
        f"WARC-Record-ID: <urn:uuid:1>\r\nContent-Type: application/http\r\nContent-Length: {size}\r\n\r\n"
    )
    return head.encode() + content + b"\r\n\r\n"


def page(text: str) -> bytes:
    return record(http(f"<p>{text}<img src=i.png>".encode()))


def packed(parts: Sequence[bytes]) -> bytes:
    return b"".join(gzip.compress(part) for part in parts)


def read(folder: Path) -> list[Sample]:
    reader = WarcReader(Location(folder), content="all")
    return [sample for part in reader.slices() for sample in reader.read(part)]


def of(tmp_path: Path, data: bytes, name: str = "a.warc.gz") -> list[Sample]:
    (tmp_path / name).write_bytes(data)
    return read(tmp_path / name)


def told(samples: Sequence[Sample]) -> list[str]:
    """The first text of each sample, or !reason."""
    return [s.of("text")[0][1].text or "" if s.items else f"!{s.notes[0].reason}" for s in samples]


@pytest.mark.parametrize("suffix", [".warc", ".warc.gz", ".whole.warc.gz"])
def test_pages_are_samples_and_nothing_else_is(tmp_path: Path, suffix: str) -> None:
    parts = [
        record(b"software: x\r\n", "warcinfo"),
        record(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "request"),
        page("one"),
        record(http(b"", ("Location", "/x"), HTML, status="301 Moved"), url="http://a.example/r"),
        record(http(b"<p>gone", status="404 Not Found")),
        record(http(b"\x89PNG", ("Content-Type", "image/png"))),
        record(http(b"<p>as text", ("Content-Type", "text/plain"))),
        record(http(b"<p>no type", ("X", "y"))),
        record(b"WARC", "revisit"),
        record(http(b"<p>two", ("content-type", "application/xhtml+xml"))),
        record(http(b"<p>not a response"), "metadata"),
    ]
    whole = b"".join(parts)
    data = {".warc": whole, ".warc.gz": packed(parts), ".whole.warc.gz": gzip.compress(whole)}[suffix]
    samples = of(tmp_path, data, f"crawl.2024{suffix}")
    assert told(samples) == ["one", "two"]
    assert samples[0].key == f"crawl.2024{suffix.removesuffix('.gz').removesuffix('.warc')}/00000000"
    assert samples[0].fields == {
        "url": "http://a.example/d/p",
        "captured": "2024-01-02T03:04:05Z",
        "record_id": "<urn:uuid:1>",
        "content_type": "text/html; charset=utf-8",
    }
    assert [item.fields for _, item in samples[0].of("image")] == [{"url": "http://a.example/d/i.png"}]
    assert len({sample.id for sample in samples}) == 2


def _chunked(body: bytes, size: int = 7) -> bytes:
    cuts = [body[k : k + size] for k in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(cut), cut) for cut in cuts) + b"0\r\n\r\n"


def _raw_deflate(body: bytes) -> bytes:
    pack = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return pack.compress(body) + pack.flush()


BODY = "<p>Grüße<p>und mehr".encode()
GZIP, CHUNKED = ("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked")
DEFLATE = ("Content-Encoding", "deflate")


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (_chunked(BODY), [HTML, CHUNKED]),
        (gzip.compress(BODY), [HTML, GZIP]),
        (_chunked(gzip.compress(BODY)), [HTML, GZIP, CHUNKED]),
        (zlib.compress(BODY), [HTML, DEFLATE]),
        (_raw_deflate(BODY), [HTML, DEFLATE]),
        (BODY, [HTML, GZIP]),  # the crawler unpacked it and kept the header
        (BODY, [HTML, ("Content-Encoding", "br")]),
        (BODY, [HTML, CHUNKED]),
        (_chunked(BODY)[:-5], [HTML, CHUNKED]),
        ("<p>Grüße".encode("latin-1"), [("Content-Type", 'text/html; charset="ISO-8859-1"')]),
    ],
    ids=range(10),  # bodies hold the time at which they were packed
)
def test_encodings_are_undone(tmp_path: Path, body: bytes, header: list[tuple[str, str]]) -> None:
    assert told(of(tmp_path, record(http(body, *header)), "a.warc")) == ["Grüße"]


def test_limits_hold_for_what_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warc, "LONGEST_PAGE", 100_000)
    bomb = gzip.compress(b"<p>" + b"a" * 50_000_000)
    parts = [
        record(http(bomb, HTML, GZIP)),
        record(http(_chunked(bomb), HTML, GZIP, CHUNKED)),
        record(http(b"<p>" + b"b" * 200_000)),
        record(http(b"<p>" + b"c" * 99_000)),
        record(http(b"\x8b" * 50, HTML, ("Content-Encoding", "br"))),
        record(http(gzip.compress(BODY)[:10] + b"\xff" * 9, HTML, GZIP)),
    ]
    too_large = "!page too large"
    found = told(of(tmp_path, packed(parts)))
    assert found[:3] == [too_large] * 3
    assert found[3].startswith("ccc")
    assert found[4:] == ["!unknown encoding", "!content damaged"]


PAGES = [page(f"page {k}") for k in range(5)]
NAMES = [f"page {k}" for k in range(5)]


def test_a_member_that_is_damaged_costs_itself(tmp_path: Path) -> None:
    members = [gzip.compress(part) for part in PAGES]
    members[1] = members[1][:30] + bytes(b ^ 0xFF for b in members[1][30:40]) + members[1][40:]
    members[3] = members[3][: len(members[3]) // 2]
    found = told(of(tmp_path, b"".join(members)))
    assert [t for t in found if t[0] != "!"] == ["page 0", "page 2", "page 4"]
    assert [t for t in found if t[0] == "!"] == ["!gzip damaged", "!gzip damaged"]


def test_a_file_that_ends_early(tmp_path: Path) -> None:
    data = packed(PAGES)
    last = len(gzip.compress(PAGES[-1]))
    assert told(of(tmp_path, data[:-10])) == [*NAMES[:4], "!gzip cut short"]
    assert told(of(tmp_path, data[: -last + 3])) == [*NAMES[:4], "!gzip cut short"]
    assert told(of(tmp_path, b"".join(PAGES)[:-40], "b.warc")) == [*NAMES[:4], "!record cut short"]
    assert told(of(tmp_path, b"".join(PAGES)[:-200], "c.warc")) == [*NAMES[:4], "!record cut short"]


@pytest.mark.parametrize("length", [0, 10, 99, 100_000, 10**17])
@pytest.mark.parametrize("whole", [True, False])
def test_a_wrong_length_costs_itself(tmp_path: Path, length: int, whole: bool) -> None:
    wrong = record(http(b"<p>page 2"), length=length)
    parts = [*PAGES[:2], wrong, *PAGES[3:]]
    found = told(of(tmp_path, b"".join(parts) if whole else packed(parts), "a.warc"))
    assert [t for t in found if t[0] != "!"] == [NAMES[0], NAMES[1], NAMES[3], NAMES[4]]
    assert [t for t in found if t[0] == "!"] in (["!wrong length"], ["!record cut short"])


def test_a_length_that_is_not_stated(tmp_path: Path) -> None:
    nameless = PAGES[1].replace(b"Content-Length", b"Content-Size")
    assert told(of(tmp_path, packed([PAGES[0], nameless, PAGES[2]]))) == ["page 0", "!wrong length", "page 2"]


@pytest.mark.parametrize(
    "junk", [b"\0" * 300, b"junk\r\n", b"<html>no archive</html>", b"\x1f\x8b\x08junk", b"\n" * 70_000 + b"x"]
)
def test_bytes_that_are_no_records(tmp_path: Path, junk: bytes) -> None:
    assert [t[0] for t in told(of(tmp_path, junk + b"\r\n", "a.warc"))] == ["!"]
    plain = told(of(tmp_path, PAGES[0] + junk + b"\r\n" + PAGES[1], "b.warc"))
    assert [t for t in plain if t[0] != "!"] == ["page 0", "page 1"]
    assert sum(t[0] == "!" for t in plain) == 1
    mixed = told(of(tmp_path, gzip.compress(PAGES[0]) + junk + gzip.compress(PAGES[1]), "c.warc.gz"))
    assert [t for t in mixed if t[0] != "!"] == ["page 0", "page 1"]


def test_nothing_is_there(tmp_path: Path) -> None:
    assert of(tmp_path, b"") == []
    assert of(tmp_path, packed([record(b"x", "warcinfo")])) == []
    assert of(tmp_path, packed(PAGES[:1]) + b"\0" * 1024)[0].items  # what was on a tape


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=40), st.booleans()), max_size=4),
    st.booleans(),
)
def test_a_walk_always_ends_and_never_raises(changes: list[tuple[int, bytes, bool]], plain: bool) -> None:
    data = bytearray(b"".join(PAGES) if plain else packed(PAGES))
    for at, junk, insert in changes:
        data[at : at if insert else at + len(junk)] = junk
    found = list(records(io.BytesIO(bytes(data)), 0, None, warc._wanted))
    assert len(found) <= 40
    assert all(isinstance(each, Damage) or each.content for each in found)
    if not changes:
        assert len(found) == 5


def test_slices_begin_where_reading_can_and_agree_with_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [p for k in range(20) for p in (record(b"x", "metadata"), page(f"page {k}"))]
    members = [gzip.compress(part) for part in parts]
    members[13] = members[13][:40]  # damage is a row like any other
    (tmp_path / "a.warc.gz").write_bytes(b"".join(members))
    (tmp_path / "b.warc").write_bytes(b"".join(parts))
    (tmp_path / "c.warc.gz").write_bytes(gzip.compress(b"".join(parts)))
    whole = read(tmp_path)
    monkeypatch.setattr(warc, "SLICE_SAMPLES", 4)
    reader = WarcReader(Location(tmp_path), content="all")
    slices = list(reader.slices())
    assert [s.id for part in slices for s in reader.read(part)] == [s.id for s in whole]
    assert [s for part in slices for s in reader.read(part)] == whole
    assert slices_of(slices) == {"a.warc.gz": 5, "b.warc": 5, "c.warc.gz": 1}
    for part in slices:
        found = list(reader.read(part))
        assert len(found) == part.samples
        assert list(reader.read(part, {1, 3})) == [found[k] for k in (1, 3)]


def slices_of(slices: Sequence[Slice]) -> dict[str, int]:
    paths = [part.files[0].path for part in slices]
    return {path: paths.count(path) for path in paths}


def test_no_columns_and_files_that_are_gone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="columns"):
        WarcReader(Location(tmp_path), columns={"text": "t"})
    (tmp_path / "a.warc").write_bytes(PAGES[0])
    reader = WarcReader(Location(tmp_path))
    (part,) = reader.slices()
    (tmp_path / "a.warc").unlink()
    assert told(list(reader.read(part))) == ["!file not readable"]


def test_real_archives(data_dir: Path) -> None:
    """From warcio's and Resiliparse's tests; which pages each holds is what warcio finds too."""
    folder = data_dir / "interleaved" / "warc"
    samples = read(folder)
    keys = [sample.key.rpartition("/")[0] for sample in samples]
    assert {key: keys.count(key) for key in keys} == {
        "chatnoir-resiliparse__warcfile": 16,
        "warcio__example-iana.org-chunked": 1,
        "warcio__example": 3,
    }
    assert all(sample.items and not sample.notes for sample in samples)
    for sample in samples:
        if sample.key.startswith("warcio__example/"):
            assert (sample.fields["url"], sample.fields["title"]) == ("http://example.com/", "Example Domain")
            assert told([sample]) == ["Example Domain"]
    by_url = {sample.fields["url"]: sample for sample in samples}
    assert (
        by_url["http://01spb.ru/company/"].fields["title"] == "О компании - Стратегия пожарной безопасности"
    )
    assert "captured" in by_url["http://www.iana.org/"].fields


def test_what_is_read_is_what_warcio_reads(data_dir: Path) -> None:
    iterator = pytest.importorskip("warcio.archiveiterator")
    for path in sorted((data_dir / "interleaved" / "warc").iterdir()):
        with path.open("rb") as file:
            true = [
                (r.rec_headers.get_header("WARC-Target-URI") or r.rec_headers.get_header("uri"))
                for r in iterator.ArchiveIterator(file)
                if r.rec_type == "response" and r.http_headers.get_statuscode() == "200"
                and "html" in r.http_headers.get_header("Content-Type", "")
            ]  # fmt: skip
        assert [sample.fields["url"] for sample in read(path)] == true
