"""Reads web pages: each file a document of texts and pictures in the order in which people see them."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import ClassVar
from urllib.parse import quote, urljoin

import xxhash

from sluice.errors import ReadError, StorageError, UsageError
from sluice.readers.folder import SLICE_BYTES, SLICE_SAMPLES
from sluice.readers.markup import LONGEST_PAGE
from sluice.readers.notes import failed_sample
from sluice.readers.page import Content
from sluice.readers.page_document import page_document
from sluice.readers.page_fields import is_web
from sluice.readers.protocol import FileStat, Slice
from sluice.readers.source import Source
from sluice.readers.table import Origin
from sluice.sample import Sample
from sluice.storage import Location

_BOUNDARY = 512  # one page in so many ends a slice, so that a new file shifts its neighbours only


class HtmlReader:
    """`.html`, `.htm` and `.xhtml` files, one document each; its key is the path without the suffix.

    `content`: `main` is what trafilatura finds to be the page's matter, without menus, advertisements and other
    pages' teasers; `all` is everything visible. A picture whose file lies beside the page is a view of it;
    one at an http(s) address stays a reference in the item's field `url`, and nothing is fetched (that is what the
    mapper `image_fetch` is for); a `data:` URL is decoded. `alt` and `caption` are fields of the picture;
    `title`, `author`, `date`, `language` and `url` those of the document, where the page states them.

    Relative addresses are those of the page's `base` or canonical address; `base_url`, where given, is the
    address of the source's folder, for copies of a site.
    """

    format: ClassVar[str] = "html"
    version: ClassVar[int] = 1
    suffixes: ClassVar[tuple[str, ...]] = (".html", ".htm", ".xhtml")
    addressable = False

    def __init__(
        self,
        source: Location,
        *,
        columns: dict[str, str] | None = None,
        content: Content = "main",
        base_url: str = "",
    ) -> None:
        if columns:
            raise UsageError("a web page has no columns", fix="remove `columns:`")
        if base_url and not is_web(base_url):
            raise UsageError(
                f"`base_url` cannot be {base_url!r}", fix="give an address such as https://example.org/"
            )
        self.source, self.content, self.base_url = Source.of(source), content, base_url

    def slices(self) -> Iterator[Slice]:
        """Cut after a path whose xxh3-64 is 0 modulo 512, and at 1,000 pages or 256 MB."""
        files: list[FileStat] = []
        for file in self.source.files():
            if self.source.names is None and not file.path.lower().endswith(self.suffixes):
                continue
            files.append(file)
            size = sum(f.size for f in files)
            ends = xxhash.xxh3_64_intdigest(file.path.encode("utf-8", "surrogateescape")) % _BOUNDARY == 0
            if ends or len(files) >= SLICE_SAMPLES or size >= SLICE_BYTES:
                yield Slice(tuple(files), samples=len(files), size_bytes=size)
                files = []
        if files:
            yield Slice(tuple(files), samples=len(files), size_bytes=sum(f.size for f in files))

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The documents of a slice; a page without content, or beyond a limit, is a failed sample."""
        for row, file in enumerate(part.files):
            if rows is None or row in rows:
                yield self._sample(file)

    def _sample(self, file: FileStat) -> Sample:
        key = file.path[: -len(suffix)] if (suffix := self._suffix(file.path)) else file.path
        try:
            if file.size > LONGEST_PAGE:
                raise ReadError("page too large", f"more than {LONGEST_PAGE:,} bytes")
            data = self.source.locate(file).read()
            url = urljoin(self.base_url, quote(file.path)) if self.base_url else ""
            return page_document(
                data, key, Origin(self.source.root, file.path, 0), content=self.content, url=url
            )
        except ReadError as error:
            return failed_sample(file.path, key, 0, error.reason, f"{file.path}: {error.what}")
        except StorageError as error:
            return failed_sample(file.path, key, 0, "file not readable", str(error))

    def _suffix(self, path: str) -> str:
        found = next((s for s in self.suffixes if path.lower().endswith(s)), "")
        return "" if path.rpartition("/")[2].lower() == found else found
