"""Reads web archives: each page that was fetched whole is a document of texts and pictures in order."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

from sluice.errors import ReadError, StorageError, UsageError
from sluice.operator.extra import imported
from sluice.readers.folder import SLICE_BYTES, SLICE_SAMPLES
from sluice.readers.markup import EXTRA, LONGEST_PAGE
from sluice.readers.notes import failed_sample
from sluice.readers.page import Content
from sluice.readers.page_document import page_document
from sluice.readers.protocol import FileStat, Slice
from sluice.readers.source import Source
from sluice.readers.table import Origin
from sluice.readers.warc_records import Damage, Record, records
from sluice.sample import Sample
from sluice.storage import Location

_SUFFIX = re.compile(r"\.w?arc(\.gz)?$", re.I)
_RESPONSE = re.compile(rb"^warc-type:\s*response\s*$", re.I | re.M)
_OK = re.compile(rb"HTTP/\d(?:\.\d)? 200\b")
_PAGE = re.compile(rb"^content-type:\s*(?:text/html|application/xhtml\+xml)\b", re.I | re.M)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.I)
_ARC_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")


class WarcReader:
    """`.warc`, `.warc.gz`, `.arc` and `.arc.gz` files: a document for each response with status 200 and HTML.

    Other records (requests, pictures, redirections, errors) are no samples. A sample's row is its number among the
    pages of its file, its key the path without suffix and that number (`crawl/00000012`). Fields: `url` (that
    was asked for), `captured` (when), `content_type` and `record_id` as the archive has them, besides those that the
    page states (`HtmlReader`). `content` is as there. Pictures stay references in the item's field `url`: nothing
    is fetched.

    Damage (a gzip member or length that is wrong, bytes that are no record) is one failed sample in its place; the
    walk goes on with the next record that can be found.
    """

    format: ClassVar[str] = "warc"
    version: ClassVar[int] = 1
    suffixes: ClassVar[tuple[str, ...]] = (".warc", ".warc.gz", ".arc", ".arc.gz")
    addressable = False

    def __init__(
        self, source: Location, *, columns: dict[str, str] | None = None, content: Content = "main"
    ) -> None:
        if columns:
            raise UsageError("a web archive has no columns", fix="remove `columns:`")
        self.source, self.content = Source.of(source), content

    def slices(self) -> Iterator[Slice]:
        """Ranges of whole records, cut after 1,000 pages or 256 MB where reading can begin anew.

        So a file is walked once to find them, as fast as it unpacks. One that is a single gzip member is one slice.
        """
        for file in self.source.files():
            if self.source.names is not None or file.path.lower().endswith(self.suffixes):
                try:
                    with self.source.locate(file).open() as opened:
                        yield from _cut(file, opened)
                except (ReadError, StorageError):
                    yield Slice((file,), size_bytes=file.size)

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The documents of a slice; a page that cannot be read is a failed sample, and so is damage."""
        file = part.files[0]
        try:
            with self.source.locate(file).open() as opened:
                for row, found in enumerate(records(opened, part.start, part.stop, _wanted)):
                    if rows is None or row in rows:
                        yield self._sample(file.path, part.first_row + row, found)
        except ReadError as error:
            yield failed_sample(file.path, file.path, part.first_row, error.reason, error.what)
        except StorageError as error:
            yield failed_sample(file.path, file.path, part.first_row, "file not readable", str(error))

    def _sample(self, path: str, row: int, found: Record | Damage) -> Sample:
        key = f"{_SUFFIX.sub('', path)}/{row:08d}"
        if isinstance(found, Damage):
            return failed_sample(path, key, row, found.reason, f"{path}: {found.detail}")
        try:
            page = _page(found)
            return page_document(
                page.data,
                key,
                Origin(self.source.root, path, row),
                content=self.content,
                charset=page.charset,
                url=page.fields.get("url", ""),
                said=page.fields,
                beside=False,
            )
        except ReadError as error:
            return failed_sample(path, key, row, error.reason, f"{path}, page {row}: {error.what}")


def _wanted(header: bytes, content: bytes) -> int:
    """How much of a record is read: of a page all, and one byte too many of one that is too large."""
    lines = header.replace(b"\r", b"")
    if header.startswith(b"WARC/") and not _RESPONSE.search(lines):
        return 0
    head = content.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    if not _OK.match(head) or not _PAGE.search(head):
        return 0
    return LONGEST_PAGE + len(content) + 1


def _cut(file: FileStat, opened: BinaryIO) -> Iterator[Slice]:
    start = first = samples = 0
    for row, found in enumerate(records(opened, 0, None, _wanted)):
        place = found.place if isinstance(found, Record) else None
        if place is not None and samples and (samples >= SLICE_SAMPLES or place - start >= SLICE_BYTES):
            yield Slice((file,), start, place, first, samples, place - start)
            start, first, samples = place, row, 0
        samples += 1
    if samples:
        yield Slice((file,), start, None, first, samples, file.size - start)


@dataclass(frozen=True, slots=True)
class _Page:
    data: bytes
    charset: str
    fields: dict[str, Any]


def _page(record: Record) -> _Page:
    """A response's page, its transfer and content encodings undone; ReadError where that cannot be."""
    heads = imported("warcio.statusandheaders", EXTRA)
    content = io.BytesIO(record.content)
    try:
        said = heads.StatusAndHeadersParser(["HTTP/"], verify=False).parse(content)
        fields = _fields(record)
    except (ValueError, IndexError, heads.StatusAndHeadersParserException, EOFError) as error:
        raise ReadError("malformed record", str(error)) from error
    data = content.read()
    if len(data) > LONGEST_PAGE:
        raise ReadError("page too large", f"more than {LONGEST_PAGE:,} bytes")
    if (said.get_header("transfer-encoding") or "").strip().lower() == "chunked":
        data = imported("warcio.bufferedreaders", EXTRA).ChunkedDataReader(io.BytesIO(data)).read()
    data = _unpacked(data, (said.get_header("content-encoding") or "").strip().lower())
    kind = said.get_header("content-type") or ""
    charset = _CHARSET.search(kind)
    return _Page(data, charset[1] if charset else "", {**fields, "content_type": kind})


def _fields(record: Record) -> dict[str, str]:
    if record.is_arc:
        parts = record.header.decode("utf-8", "replace").rstrip().rsplit(" ", 4)
        date = _ARC_DATE.match(parts[2])
        captured = "{}-{}-{}T{}:{}:{}Z".format(*date.groups()) if date else parts[2]
        return {"url": parts[0], "captured": captured}
    heads = imported("warcio.statusandheaders", EXTRA)
    header = heads.StatusAndHeadersParser(["WARC/"]).parse(io.BytesIO(record.header))
    found = {
        "url": (header.get_header("WARC-Target-URI") or "").strip().removeprefix("<").removesuffix(">"),
        "captured": header.get_header("WARC-Date") or "",
        "record_id": header.get_header("WARC-Record-ID") or "",
    }
    return {name: value for name, value in found.items() if value}


def _unpacked(data: bytes, encoding: str) -> bytes:
    """The content without its encoding; as it is where the crawler undid that already, as many do."""
    if encoding in ("", "identity") or data.lstrip()[:1] == b"<":
        return data
    if encoding in ("gzip", "x-gzip"):
        return _inflated(data, 16 + zlib.MAX_WBITS) if data[:2] == b"\x1f\x8b" else data
    if encoding == "deflate":  # some servers leave out zlib's header
        return _inflated(data, zlib.MAX_WBITS if data[:1] == b"\x78" else -zlib.MAX_WBITS)
    raise ReadError("unknown encoding", f"the page is encoded with {encoding[:40]!r}")


def _inflated(data: bytes, window: int) -> bytes:
    unpack = zlib.decompressobj(window)
    try:
        text = unpack.decompress(data, LONGEST_PAGE + 1)
    except zlib.error as error:
        raise ReadError("content damaged", str(error)) from error
    if len(text) > LONGEST_PAGE:
        raise ReadError("page too large", f"more than {LONGEST_PAGE:,} bytes once unpacked")
    return text
