"""Reads Parquet: rows as samples, row groups streamed, a damaged file or row as counted failures."""

from __future__ import annotations

from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.errors import ReadError, StorageError
from sluice.readers.notes import failed_sample
from sluice.readers.protocol import FileStat, Slice
from sluice.readers.source import Source
from sluice.readers.table import Columns, Origin, row_key
from sluice.sample import Sample
from sluice.storage import Location

SLICE_ROWS = 1000
SLICE_BYTES = 256 << 20
_BATCH_BYTES = 32 << 20
_BATCH_ROWS = 256


@dataclass(slots=True)
class _Cursor:
    """Where a reader stands inside a row group: the batches from here on, and the row the next one begins at."""

    file: FileStat
    group: int
    row: int
    batches: Iterator[pa.RecordBatch]
    left: pa.RecordBatch | None = None

    def next(self, stop: int) -> tuple[int, pa.RecordBatch] | None:
        """The next batch with its first row, cut so that it ends before row `stop`; None at the end."""
        batch = self.left if self.left is not None else next(self.batches, None)
        self.left = None
        if batch is None or self.row >= stop:
            self.left = batch
            return None
        if self.row + batch.num_rows > stop:
            self.left = batch.slice(stop - self.row)
            batch = batch.slice(0, stop - self.row)
        first, self.row = self.row, self.row + batch.num_rows
        return first, batch


class ParquetReader:
    """`.parquet` files. A sample's row is its row in the file; its bytes are in hand.

    Only pages under way are in memory, also in row groups of any size. A reader goes on inside a row group
    where its last slice ended, as Parquet cannot be entered in the middle of one.
    """

    format: ClassVar[str] = "parquet"
    version: ClassVar[int] = 1
    addressable = False

    def __init__(self, source: Location, *, columns: dict[str, str] | None = None) -> None:
        self.source = Source.of(source)
        self.columns = Columns(columns)
        self._cursor: _Cursor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cursor": None}

    def slices(self) -> Iterator[Slice]:
        """Row ranges of up to 1,000 rows or 256 MB; small row groups are joined, large ones cut."""
        for file in self.source.files():
            if self.source.names is None and not file.path.lower().endswith((".parquet", ".pq")):
                continue
            try:
                with self.opened(file) as opened:
                    groups = row_groups(opened.metadata)
            except (ReadError, StorageError):
                yield Slice((file,), samples=1, size_bytes=file.size)
                continue
            yield from _cut(file, groups)

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The samples of a slice. Rows of a damaged row group fail one by one, other groups are read."""
        file = part.files[0]
        try:
            with self.opened(file) as opened:
                for row, batch, k in self.rows(part, opened):
                    if rows is None or row - part.start in rows:
                        yield self._sample(file.path, row, batch, k)
        except ReadError as error:
            yield failed_sample(file.path, file.path, part.first_row, error.reason, error.what)
        except StorageError as error:
            yield failed_sample(file.path, file.path, part.first_row, "file not readable", str(error))

    def rows(self, part: Slice, opened: pq.ParquetFile) -> Iterator[tuple[int, pa.RecordBatch | str, int]]:
        """Row, its batch and its place there; for a row that is lost, why, in place of the batch."""
        file, first = part.files[0], 0
        for group, (count, size) in enumerate(row_groups(opened.metadata)):
            begin, last = max(first, part.start), first + count
            end = last if part.stop is None else min(last, part.stop)
            if begin < end:
                cursor = self._at(file, group, first, begin)
                if cursor is None:
                    rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES * count // max(size, 1)))
                    batches = self.opened(file).iter_batches(rows, row_groups=[group], use_threads=False)
                    cursor = _Cursor(file, group, first, _ahead(batches))
                yield from _until(cursor, begin, end)
                self._cursor = cursor if end < last else None
            first = last
        if part.stop is not None and first < part.stop:
            raise ReadError("file changed", f"{file.path} had {part.stop} rows and has {first}")

    def _at(self, file: FileStat, group: int, first: int, begin: int) -> _Cursor | None:
        """The cursor of the last slice, where this one begins later in the same row group."""
        known, self._cursor = self._cursor, None
        fits = (
            known is not None and known.file == file and known.group == group and first <= known.row <= begin
        )
        return known if fits else None

    def opened(self, file: FileStat) -> pq.ParquetFile:
        """The file, opened; `ReadError` where it is none, or lacks a column that the recipe names."""
        place = self.source.locate(file)
        try:
            source = place.url if place.is_local else place.open()
            opened = pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20, memory_map=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            said = " ".join(str(error).split())[:300]
            if isinstance(error, FileNotFoundError):
                raise StorageError("no such file", where=place.url) from error
            magic = file.size < 12 or "magic bytes" in said
            reason = "not a Parquet file" if magic else "damaged Parquet footer"
            raise ReadError(reason, f"{file.path}: {said}") from error
        missing = self.columns.plan(tuple(opened.schema_arrow.names)).missing
        if missing:
            names = ", ".join(opened.schema_arrow.names)
            raise ReadError(f"column missing: {missing[0]}", f"{file.path} has: {names}")
        return opened

    def _sample(self, path: str, row: int, batch: pa.RecordBatch | str, k: int) -> Sample:
        key = row_key(path, row)
        if isinstance(batch, str):
            return failed_sample(path, key, row, "damaged Parquet data", f"{path}, row {row}: {batch}")
        try:
            columns = zip(batch.schema.names, batch.columns, strict=True)
            cells = {name: column[k].as_py() for name, column in columns}
            return self.columns.sample(cells, Origin(self.source.root, path, row))
        except ReadError as error:
            return failed_sample(path, key, row, error.reason, error.what)
        except (ValueError, OverflowError, pa.ArrowException) as error:
            detail = f"{path}, row {row}: {' '.join(str(error).split())[:200]}"
            return failed_sample(path, key, row, "value not readable", detail)


def _ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches, each decoded while the one before it is used; Arrow needs no lock of Python's for it."""
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = thread.submit(next, batches, None)
            yield batch


def _until(cursor: _Cursor, begin: int, end: int) -> Iterator[tuple[int, pa.RecordBatch | str, int]]:
    """The rows [begin, end) from a cursor at or before them, whatever befalls it."""
    done = begin
    try:
        while (found := cursor.next(end)) is not None:
            first, batch = found
            for k in range(max(begin - first, 0), batch.num_rows):
                yield first + k, batch, k
                done = first + k + 1
        trouble = "the row group ends early"
    except (pa.ArrowException, OSError) as error:
        trouble = " ".join(str(error).split())[:300]
    yield from ((row, trouble, 0) for row in range(done, end))


def row_groups(metadata: pq.FileMetaData) -> list[tuple[int, int]]:
    """Rows and uncompressed bytes of every row group."""
    found = (metadata.row_group(g) for g in range(metadata.num_row_groups))
    return [(group.num_rows, group.total_byte_size) for group in found]


def _cut(file: FileStat, groups: list[tuple[int, int]]) -> Iterator[Slice]:
    start = rows = size = 0
    for count, uncompressed in groups:
        if rows and (rows + count > SLICE_ROWS or size + uncompressed > SLICE_BYTES):
            yield Slice((file,), start, start + rows, start, rows, size)
            start, rows, size = start + rows, 0, 0
        most = max(1, min(SLICE_ROWS, SLICE_BYTES * count // max(uncompressed, 1)))
        if count <= most:
            rows, size = rows + count, size + uncompressed
            continue
        for first in range(0, count, most):
            part = min(most, count - first)
            yield Slice(
                (file,),
                start + first,
                start + first + part,
                start + first,
                part,
                uncompressed * part // count,
            )
        start += count
    if rows:
        yield Slice((file,), start, start + rows, start, rows, size)
