"""Reads JSONL: one object a line, media as paths beside the file, a bad line as one counted failure."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from typing import Any, BinaryIO, ClassVar

from sluice.errors import ReadError, StorageError
from sluice.readers.notes import failed_sample
from sluice.readers.protocol import FileStat, Slice
from sluice.readers.source import Source
from sluice.readers.table import Columns, Origin, row_key, texts
from sluice.sample import Sample
from sluice.storage import Location

SLICE_LINES = 1000
SLICE_BYTES = 256 << 20
LONGEST_LINE = 64 << 20
"""Bytes of one line that are held in memory; a longer one fails and is passed over."""

_BOM = b"\xef\xbb\xbf"


class JsonlReader:
    """`.jsonl` and `.ndjson` files. A sample's row is the number of its line, from 0; blank lines are none."""

    format: ClassVar[str] = "jsonl"
    version: ClassVar[int] = 1
    addressable = False

    def __init__(self, source: Location, *, columns: dict[str, str] | None = None) -> None:
        self.source = Source.of(source)
        self.columns = Columns(columns)

    def slices(self) -> Iterator[Slice]:
        """Byte ranges of whole lines, cut after 1,000 samples or 256 MB."""
        for file in self.source.files():
            if self.source.names is not None or file.path.lower().endswith((".jsonl", ".ndjson")):
                try:
                    with self.source.locate(file).open() as opened:
                        yield from line_slices(file, opened)
                except (ReadError, StorageError):
                    yield Slice((file,), size_bytes=file.size)

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The samples of a slice; a line that is no object is a failed sample naming the line."""
        file = part.files[0]
        try:
            with self.source.locate(file).open() as opened:
                opened.seek(part.start)
                for row, (line, text) in enumerate(lines(opened, part.start, part.stop)):
                    if rows is None or row in rows:
                        yield self._sample(file.path, part.first_row + line, text)
        except ReadError as error:
            yield failed_sample(file.path, file.path, part.first_row, error.reason, error.what)
        except StorageError as error:
            yield failed_sample(file.path, file.path, part.first_row, "file not readable", str(error))

    def _sample(self, path: str, row: int, line: bytes | None) -> Sample:
        try:
            return self.columns.sample(json_object(line), Origin(self.source.root, path, row))
        except ReadError as error:
            detail = f"{path}, line {row + 1}: {error.what}"
            return failed_sample(path, row_key(path, row), row, error.reason, detail)


def json_object(line: bytes | None) -> dict[str, Any]:
    """The JSON object in these bytes (None: too many to be held). `ReadError` where there is none."""
    if line is None:
        raise ReadError("line too long", f"more than {LONGEST_LINE:,} bytes")
    try:
        value = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise ReadError("not UTF-8", str(error)) from error
    except (ValueError, RecursionError) as error:
        raise ReadError("malformed JSON", str(error)) from error
    if not isinstance(value, dict):
        raise ReadError("not a JSON object", f"a {type(value).__name__}")
    if b"\\u" in line and (b"\\ud" in line or b"\\uD" in line):
        _refuse_lone_surrogates(value)
    return value


def _refuse_lone_surrogates(value: dict[str, Any]) -> None:
    try:
        for text in texts(value):
            text.encode()
    except UnicodeEncodeError as error:
        raise ReadError("not Unicode text", "half a surrogate pair") from error
    except RecursionError as error:
        raise ReadError("malformed JSON", "nested too deeply") from error


def lines(opened: BinaryIO, start: int, stop: int | None) -> Iterator[tuple[int, bytes | None]]:
    """Number (from 0) and bytes of each line that is not blank; None for one that is too long."""
    position, number = start, 0
    while stop is None or position < stop:
        line = opened.readline(LONGEST_LINE)
        if not line:
            return
        long = len(line) == LONGEST_LINE and not line.endswith(b"\n")
        length = len(line)
        while long and (more := opened.readline(LONGEST_LINE)):
            length += len(more)
            if more.endswith(b"\n"):
                break
        text = line.removeprefix(_BOM) if position == 0 else line
        position += length
        if long:
            yield number, None
        elif text.strip():
            yield number, text
        number += 1


def line_slices(file: FileStat, opened: BinaryIO) -> Iterator[Slice]:
    """Byte ranges of whole lines, cut after 1,000 samples or 256 MB."""
    start = row = samples = 0
    for line, (begin, end, blank) in enumerate(_spans(opened)):
        if samples >= SLICE_LINES or (samples and end - start > SLICE_BYTES):
            yield Slice((file,), start, begin, row, samples, begin - start)
            start, row, samples = begin, line, 0
        samples += not blank
    if samples:
        yield Slice((file,), start, None, row, samples, file.size - start)


def _spans(opened: BinaryIO) -> Iterator[tuple[int, int, bool]]:
    """Begin, end and blankness of every line."""
    position = 0
    while line := opened.readline(LONGEST_LINE):
        begin = position
        blank = not (line.removeprefix(_BOM) if begin == 0 else line).strip()
        position += len(line)
        while not line.endswith(b"\n") and (line := opened.readline(LONGEST_LINE)):
            position += len(line)
            blank = False
        yield begin, position, blank
