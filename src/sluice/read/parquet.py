"""Reads Parquet: rows as samples, row groups streamed, a damaged file or row as counted failures."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.errors import ReadError, StorageError
from sluice.read.notes import failed_sample
from sluice.read.protocol import FileStat, Slice
from sluice.read.source import Source
from sluice.read.table import Columns, Origin, row_key
from sluice.sample import Sample
from sluice.storage import Location

SLICE_ROWS = 1000
SLICE_BYTES = 256 << 20
_BATCH_BYTES = 32 << 20
_BATCH_ROWS = 256


@dataclass(slots=True)
class _Cursor:
    """Where a reader stands in a file: the batches from here on, and the row of the next one's first."""

    file: FileStat
    group: int
    row: int
    batches: Iterator[pa.RecordBatch]
    left: pa.RecordBatch | None = None


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
                with self._open(file) as opened:
                    groups = _groups(opened.metadata)
            except (ReadError, StorageError):
                yield Slice((file,), samples=1, size_bytes=file.size)
                continue
            yield from _cut(file, groups)

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The samples of a slice. Rows in a damaged part of the file fail one by one."""
        file = part.files[0]
        done = part.start
        try:
            for row, batch, k in self._rows(part):
                if rows is None or row - part.start in rows:
                    yield self._sample(file.path, row, batch, k)
                done = row + 1
        except ReadError as error:
            yield failed_sample(file.path, file.path, part.first_row, error.reason, error.what)
        except (pa.ArrowException, OSError, StorageError) as error:
            detail = " ".join(str(error).split())[:300]
            for row in range(done, part.stop if part.stop is not None else done + 1):
                if rows is None or row - part.start in rows:
                    key = row_key(file.path, row)
                    yield failed_sample(file.path, key, row, "damaged Parquet data", f"{file.path}: {detail}")

    def _rows(self, part: Slice) -> Iterator[tuple[int, pa.RecordBatch, int]]:
        cursor = self._at(part)
        if cursor is None:
            return
        while part.stop is None or cursor.row < part.stop:
            batch = cursor.left if cursor.left is not None else next(cursor.batches, None)
            cursor.left = None
            if batch is None:
                return
            first, end = max(part.start - cursor.row, 0), batch.num_rows
            if part.stop is not None and cursor.row + end > part.stop:
                end = part.stop - cursor.row
                cursor.left = batch.slice(end)
            base = cursor.row
            cursor.row += end
            for k in range(first, end):
                yield base + k, batch, k
        self._cursor = cursor

    def _at(self, part: Slice) -> _Cursor | None:
        """A cursor at or before the slice's first row, inside its row group."""
        file, known, self._cursor = part.files[0], self._cursor, None
        if known is not None and known.file == file and known.row <= part.start and known.group >= 0:
            with self._open(file) as opened:
                if known.group == _group_of(opened.metadata, part.start)[0]:
                    return known
        opened = self._open(file)
        if opened.metadata.num_rows == 0:
            return None
        group, row = _group_of(opened.metadata, part.start)
        meta = opened.metadata.row_group(group)
        size = max(1, min(_BATCH_ROWS, _BATCH_BYTES * meta.num_rows // max(meta.total_byte_size, 1)))
        last = opened.metadata.num_row_groups
        if part.stop is not None:
            last = _group_of(opened.metadata, part.stop - 1)[0] + 1
        batches = opened.iter_batches(batch_size=size, row_groups=range(group, last), use_threads=False)
        return _Cursor(file, group if last == group + 1 else -1, row, batches)

    def _open(self, file: FileStat) -> pq.ParquetFile:
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

    def _sample(self, path: str, row: int, batch: pa.RecordBatch, k: int) -> Sample:
        try:
            cells = {
                name: column[k].as_py()
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            }
            return self.columns.sample(cells, Origin(self.source.root, path, row))
        except ReadError as error:
            return failed_sample(path, row_key(path, row), row, error.reason, error.what)
        except (ValueError, OverflowError, pa.ArrowException) as error:
            detail = f"{path}, row {row}: {' '.join(str(error).split())[:200]}"
            return failed_sample(path, row_key(path, row), row, "value not readable", detail)


def _groups(metadata: pq.FileMetaData) -> list[tuple[int, int]]:
    """Rows and uncompressed bytes of every row group."""
    found = (metadata.row_group(g) for g in range(metadata.num_row_groups))
    return [(group.num_rows, group.total_byte_size) for group in found]


def _group_of(metadata: pq.FileMetaData, row: int) -> tuple[int, int]:
    """The row group that holds a row, and the group's first row."""
    first = 0
    for group in range(metadata.num_row_groups):
        count = metadata.row_group(group).num_rows
        if row < first + count:
            return group, first
        first += count
    raise ReadError("file changed", f"row {row} of {first}")


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
