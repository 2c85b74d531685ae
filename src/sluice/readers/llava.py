"""Reads chats about pictures: LLaVA's and ShareGPT's JSON with `<image>` markers, OpenAI's lists of contents."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import BinaryIO, ClassVar, Literal

from sluice.errors import ReadError, StorageError, UsageError
from sluice.readers.chats import chat, is_chat
from sluice.readers.json_array import Element, elements
from sluice.readers.jsonl import json_object, line_slices, lines
from sluice.readers.named_media import NamedMedia
from sluice.readers.notes import failed_sample
from sluice.readers.protocol import FileStat, Slice
from sluice.readers.source import Source
from sluice.readers.table import Origin, row_key
from sluice.sample import Sample
from sluice.storage import Location

SLICE_SAMPLES = 1000
SLICE_BYTES = 256 << 20

_LOOKED_AT = 16 << 20  # bytes of the first object that a look at a file may take
_BLANK_LINES = 100  # that may stand before it
_LINES = (".jsonl", ".ndjson")
_BOM = b"\xef\xbb\xbf"

Form = Literal["array", "lines", "other"]


class LlavaReader:
    """`.json` files that hold one array of chats, and `.jsonl`: each object a document.

    A chat is LLaVA's `conversations` of {from, value}, or `messages` of {role, content}; content is a string, or a
    list of parts of type text, image, image_url, video_url, … A marker (`<image>`, `<video>`, `<audio>`; in lists
    of parts also `<IMG_CONTEXT>`, `<VIDEO_CONTEXT>`) stands for the next medium of `image`, `images`, `videos`, …;
    media without any marker stand first, any other mismatch fails the chat. Texts and media carry `role` and
    `turn`; a turn in which nothing is said is an empty text. What else a message holds is the item's field
    `message`, what else the object holds are the sample's fields.

    Media are files beside the file or from the source's folder on: below `media_root`, once `strip_prefix` is
    taken from the front of their paths. An address on the web stays a reference; `data:` URLs are decoded.
    """

    format: ClassVar[str] = "llava"
    version: ClassVar[int] = 1
    refines: ClassVar[str] = "jsonl"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
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
            raise UsageError("the keys of chats have fixed names", fix="remove `columns:`")
        self.source = Source.of(source)
        self.media = NamedMedia(media_root, strip_prefix)

    @classmethod
    def claims(cls, source: Source, file: FileStat) -> bool:
        """Whether the first object in the file is a chat."""
        try:
            with source.locate(file).open() as opened:
                if file.path.lower().endswith(_LINES):
                    return _first_line_is_chat(opened)
                first = next(elements(opened, longest=_LOOKED_AT), None)
                if first is not None and first.trouble == "not a JSON array":
                    return _first_line_is_chat(opened)
                return first is not None and not first.trouble and is_chat(json_object(first.data))
        except (ReadError, StorageError):
            return False

    def slices(self) -> Iterator[Slice]:
        """Byte ranges of whole objects, up to 1,000 or 256 MB. `.json` files of other content are no chats."""
        for file in self.source.files():
            named = self.source.names is not None
            if not named and not file.path.lower().endswith((".json", *_LINES)):
                continue
            try:
                with self.source.locate(file).open() as opened:
                    form = _form(file, opened)
                    opened.seek(0)
                    if form == "lines":
                        yield from line_slices(file, opened)
                    elif form == "array" or named:
                        yield from _array_slices(file, opened)
            except (ReadError, StorageError):
                yield Slice((file,), samples=1, size_bytes=file.size)

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The chats of a slice; one that cannot be read is a failed sample naming its row."""
        file = part.files[0]
        try:
            with self.source.locate(file).open() as opened:
                for number, (row, found) in enumerate(self._objects(part, opened)):
                    if rows is None or number in rows:
                        yield self._sample(file.path, row, found)
        except ReadError as error:
            yield failed_sample(file.path, file.path, part.first_row, error.reason, error.what)
        except StorageError as error:
            yield failed_sample(file.path, file.path, part.first_row, "file not readable", str(error))

    def _objects(self, part: Slice, opened: BinaryIO) -> Iterator[tuple[int, bytes | Element | None]]:
        """Row and bytes of each object."""
        form = _form(part.files[0], opened)
        opened.seek(part.start)
        if form == "lines":
            yield from ((part.first_row + n, line) for n, line in lines(opened, part.start, part.stop))
            return
        for number, element in enumerate(elements(opened, part.start, part.stop)):
            yield part.first_row + number, element if element.trouble else element.data

    def _sample(self, path: str, row: int, found: bytes | Element | None) -> Sample:
        try:
            if isinstance(found, Element):
                raise ReadError(found.trouble, f"at byte {found.begin:,}; nothing behind it can be read")
            return chat(json_object(found), Origin(self.source.root, path, row), self.media)
        except ReadError as error:
            detail = f"{path}, object {row + 1}: {error.what}"
            return failed_sample(path, row_key(path, row), row, error.reason, detail)


def _form(file: FileStat, opened: BinaryIO) -> Form:
    """How the objects lie in a file, by its name and its first bytes."""
    if file.path.lower().endswith(_LINES):
        return "lines"
    head = opened.read(1 << 16).removeprefix(_BOM).lstrip()
    if not head.startswith(b"{"):
        return "array"
    return "lines" if _first_line_is_chat(opened) else "other"


def _first_line_is_chat(opened: BinaryIO) -> bool:
    opened.seek(0)
    starts = (opened.readline(_LOOKED_AT).removeprefix(_BOM) for _ in range(_BLANK_LINES))
    first = next((line for line in starts if line.strip()), b"")
    try:
        return is_chat(json_object(first))
    except ReadError:
        return False


def _array_slices(file: FileStat, opened: BinaryIO) -> Iterator[Slice]:
    start = row = samples = 0
    for element in elements(opened):
        if samples >= SLICE_SAMPLES or (samples and element.begin - start > SLICE_BYTES):
            yield Slice((file,), start, element.begin, row, samples, element.begin - start)
            start, row, samples = element.begin, row + samples, 0
        samples += 1
    if samples:
        yield Slice((file,), start, None, row, samples, file.size - start)
