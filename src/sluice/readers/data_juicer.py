"""Reads documents as Data-Juicer has them: a text with tokens where media stand, and the media as lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar

from sluice.errors import ReadError, StorageError, UsageError
from sluice.readers.documents import MOST_ITEMS, DocumentBuilder
from sluice.readers.jsonl import json_object, line_slices, lines
from sluice.readers.media_lists import MediaLists
from sluice.readers.named_media import NamedMedia
from sluice.readers.notes import failed_sample
from sluice.readers.protocol import FileStat, Slice
from sluice.readers.source import Source
from sluice.readers.table import Origin, row_key
from sluice.sample import Sample, sample_id
from sluice.sample.markers import END_OF_CHUNK, TOKENS, cut
from sluice.storage import Location

_LISTS = {"images": "image", "videos": "video", "audios": "audio"}
_LOOKED_AT = 10  # lines: some documents have no media
_HEAD_BYTES = 4 << 20  # of them

Pieces = list[tuple[str, str, Mapping[str, Any]]]
"""("text", text, fields), or (modality, "", fields) for a token."""


class DataJuicerReader:
    """`.jsonl` of {text, images, videos, audios, …}: `<__dj__image>` and its kin stand where media do.

    The k-th token of a modality is the k-th entry of its list; media without any token stand first, any other
    mismatch fails the document. `<|__dj__eoc|>` ends a chunk: the items before it have its number in the field
    `chunk`; those behind the last have none. A chunk in which nothing stands is an empty text. What else the
    object holds are the sample's fields.

    Media are files beside the file or from the source's folder on: below `media_root`, once `strip_prefix` is
    taken from the front of their paths. An address on the web stays a reference.
    """

    format: ClassVar[str] = "data-juicer"
    version: ClassVar[int] = 1
    refines: ClassVar[str] = "jsonl"
    addressable = False

    def __init__(
        self,
        source: Location,
        *,
        columns: dict[str, str] | None = None,
        media_root: str = "",
        strip_prefix: str = "",
    ) -> None:
        if columns:
            raise UsageError("the keys of Data-Juicer's format have fixed names", fix="remove `columns:`")
        self.source = Source.of(source)
        self.media = NamedMedia(media_root, strip_prefix)

    @classmethod
    def claims(cls, source: Source, file: FileStat) -> bool:
        """Whether there is a token in the text of one of the first lines."""
        try:
            with source.locate(file).open() as opened:
                head = opened.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").split(b"\n")
        except (ReadError, StorageError):
            return False
        return any(_has_token(line) for line in islice(filter(bytes.strip, head), _LOOKED_AT))

    def slices(self) -> Iterator[Slice]:
        """Byte ranges of whole lines, cut after 1,000 documents or 256 MB."""
        for file in self.source.files():
            if self.source.names is not None or file.path.lower().endswith((".jsonl", ".ndjson")):
                try:
                    with self.source.locate(file).open() as opened:
                        yield from line_slices(file, opened)
                except (ReadError, StorageError):
                    yield Slice((file,), size_bytes=file.size)

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The documents of a slice; one that cannot be read is a failed sample naming its line."""
        file = part.files[0]
        try:
            with self.source.locate(file).open() as opened:
                opened.seek(part.start)
                for number, (line, text) in enumerate(lines(opened, part.start, part.stop)):
                    if rows is None or number in rows:
                        yield self._sample(file.path, part.first_row + line, text)
        except ReadError as error:
            yield failed_sample(file.path, file.path, part.first_row, error.reason, error.what)
        except StorageError as error:
            yield failed_sample(file.path, file.path, part.first_row, "file not readable", str(error))

    def _sample(self, path: str, row: int, line: bytes | None) -> Sample:
        try:
            return self._document(json_object(line), Origin(self.source.root, path, row))
        except ReadError as error:
            detail = f"{path}, line {row + 1}: {error.what}"
            return failed_sample(path, row_key(path, row), row, error.reason, detail)

    def _document(self, value: Mapping[str, Any], origin: Origin) -> Sample:
        text = value.get("text")
        if not isinstance(text, str):
            raise ReadError("text of another type", f"`text` is a {type(text).__name__}")
        lists, pieces = MediaLists(value, _LISTS), _pieces(text)
        marks = Counter(what for what, *_ in pieces if what != "text")
        first = [(what, "", pieces[0][2]) for what in lists.settle(marks)]
        pieces = [*first, *(pieces if text or not first else [])]
        if len(pieces) > MOST_ITEMS:
            raise ReadError("too many items", f"{len(pieces):,}, more than {MOST_ITEMS:,}")
        build = DocumentBuilder()
        build.metadata()
        for what, piece, own in pieces:
            if what == "text":
                build.text(piece, own)
            else:
                address, more = lists.next(what)
                self.media.add(build, what, address, origin, more | dict(own))
        identity = value.get("id")
        named = isinstance(identity, str | int) and not isinstance(identity, bool) and identity != ""
        key = str(identity) if named else origin.fallback_key
        taken = {"text", *lists.names, *(("id",) if named else ())}
        fields = {name: each for name, each in value.items() if name not in taken}
        return build.sample(sample_id(origin.path, key, origin.row), key, fields)


def _pieces(text: str) -> Pieces:
    chunks = text.split(END_OF_CHUNK)
    pieces: Pieces = []
    for number, chunk in enumerate(chunks):
        last = number + 1 == len(chunks)
        own = {} if last else {"chunk": number}
        found = [(what, piece, own) for what, piece in cut(chunk, TOKENS)]
        pieces += found or ([] if last and pieces else [("text", "", own)])
    return pieces


def _has_token(line: bytes) -> bool:
    if b"__dj__" not in line:
        return False
    try:
        value = json_object(line)
    except ReadError:
        return False
    text = value.get("text")
    ours = {"members", "sidecars"} <= value.keys()  # a table of ours, in which tokens are text like any other
    return not ours and isinstance(text, str) and any(token in text for token in (*TOKENS, END_OF_CHUNK))
