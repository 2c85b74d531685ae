"""Reads CSV and TSV tables: a header line, then one sample a record, media as paths beside the file."""

from __future__ import annotations

import csv
import io
from collections.abc import Container, Iterator
from typing import Any, ClassVar

from sluice.errors import ReadError, StorageError
from sluice.readers.notes import failed_sample
from sluice.readers.protocol import FileStat, Slice
from sluice.readers.source import Source
from sluice.readers.table import Columns, Origin, row_key
from sluice.sample import Sample
from sluice.storage import Location

SLICE_ROWS = 1000

Record = list[str] | ReadError
_Cursor = tuple[FileStat, int, list[str], Iterator[Record]]


class CsvReader:
    """`.csv` and `.tsv` files in UTF-8 with a header line; every value that is no medium is text.

    Records may hold line breaks, so a slice is a range of records; a reader goes on where its last slice
    ended instead of beginning again.
    """

    format: ClassVar[str] = "csv"
    version: ClassVar[int] = 1
    addressable = False

    def __init__(self, source: Location, *, columns: dict[str, str] | None = None) -> None:
        self.source = Source.of(source)
        self.columns = Columns(columns)
        self._cursor: _Cursor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cursor": None}

    def slices(self) -> Iterator[Slice]:
        """Ranges of 1,000 records."""
        for file in self.source.files():
            if self.source.names is None and not file.path.lower().endswith((".csv", ".tsv")):
                continue
            try:
                _, records = self._open(file)
                count = sum(1 for _ in records)
            except (ReadError, StorageError):
                yield Slice((file,), samples=1, size_bytes=file.size)
                continue
            for start in range(0, count, SLICE_ROWS):
                stop = min(start + SLICE_ROWS, count)
                yield Slice((file,), start, stop, start, stop - start, file.size * (stop - start) // count)

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The samples of a slice; a record that does not fit the header is a failed sample."""
        file = part.files[0]
        try:
            at, header, records = self._from(file, part.start)
            for record in records:
                row = at - part.start
                at += 1
                if rows is None or row in rows:
                    yield self._sample(file.path, at - 1, header, record)
                if at == part.stop:
                    self._cursor = (file, at, header, records)
                    return
        except ReadError as error:
            yield failed_sample(file.path, file.path, part.first_row, error.reason, error.what)
        except StorageError as error:
            yield failed_sample(file.path, file.path, part.first_row, "file not readable", str(error))

    def _from(self, file: FileStat, start: int) -> tuple[int, list[str], Iterator[Record]]:
        if self._cursor is not None and self._cursor[0] == file and self._cursor[1] <= start:
            _, at, header, records = self._cursor
            self._cursor = None
        else:
            at = 0
            header, records = self._open(file)
        while at < start and next(records, None) is not None:
            at += 1
        return at, header, records

    def _open(self, file: FileStat) -> tuple[list[str], Iterator[Record]]:
        place = self.source.locate(file)
        text = io.TextIOWrapper(place.open(), encoding="utf-8-sig", errors="surrogateescape", newline="")
        table = csv.reader(text, delimiter="\t" if file.path.lower().endswith(".tsv") else ",")
        records = _records(table, text)
        header = next(records, None)
        if not isinstance(header, list) or not all(_is_text(n) for n in header):
            raise ReadError("not a CSV table", f"{file.path}: no header line")
        if len(set(header)) < len(header) or any(c in name for name in header for c in "\0\x1b"):
            raise ReadError("not a CSV table", f"{file.path}: the header names a column twice or is binary")
        return header, records

    def _sample(self, path: str, row: int, header: list[str], record: Record) -> Sample:
        try:
            if isinstance(record, ReadError):
                raise record
            if len(record) > len(header):
                raise ReadError("malformed CSV", f"{len(record)} values for {len(header)} columns")
            if not all(_is_text(value) for value in record):
                raise ReadError("not UTF-8", "bytes that are no text")
            padded = [*record, *[""] * (len(header) - len(record))]
            cells = {name: value or None for name, value in zip(header, padded, strict=True)}
            return self.columns.sample(cells, Origin(self.source.root, path, row))
        except ReadError as error:
            detail = f"{path}, record {row + 1}: {error.what}"
            return failed_sample(path, row_key(path, row), row, error.reason, detail)


def _records(table: Iterator[list[str]], text: io.TextIOWrapper) -> Iterator[Record]:
    """The records that are not blank; one that cannot be parsed is its error."""
    with text:
        while True:
            try:
                record = next(table, None)
            except csv.Error as error:
                yield ReadError("malformed CSV", str(error))
                continue
            if record is None:
                return
            if record:
                yield record


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)
