"""Output files that know their own size and digest when they are done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from sluice.storage import Location
from sluice.writers.protocol import ShardFile


class HashedFile:
    """A file being written, its xxh3-128 computed on the way; enough of a file for pyarrow."""

    mode = "wb"

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = xxhash.xxh3_128()
        self.size = 0
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write all of `data`."""
        count = len(data) if isinstance(data, bytes) else memoryview(data).nbytes
        self._hash.update(data)
        self._file.write(data)
        self.size += count
        return count

    def tell(self) -> int:
        """Bytes written so far."""
        return self.size

    def flush(self) -> None:
        """Nothing is held back here."""

    def close(self) -> None:
        """Nothing to do: the location's writer decides whether the file appears."""

    def readable(self) -> bool:
        """No."""
        return False

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """No."""
        return False

    def done(self, path: str) -> ShardFile:
        """What was written, as the file at `path` of the output."""
        return ShardFile(path, self.size, self._hash.hexdigest())


@contextmanager
def hashed(place: Location) -> Iterator[HashedFile]:
    """A file at `place` that appears whole at a clean end, or not at all."""
    with place.writer() as file:
        yield HashedFile(file)


def put(output: Location, path: str, data: bytes) -> ShardFile:
    """Write a small file at once."""
    (output / path).write(data)
    return ShardFile(path, len(data), xxhash.xxh3_128_hexdigest(data))


def put_table(output: Location, path: str, table: pa.Table) -> ShardFile:
    """Write a table as Parquet; the same table gives the same bytes."""
    with hashed(output / path) as file, parquet_file(file, table.schema) as parquet:
        parquet.write_table(table)
    return file.done(path)


@contextmanager
def parquet_file(file: HashedFile, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A Parquet file on `file`: zstd, and no dictionaries for values that hardly repeat (floats, ids, bytes)."""
    repeating = [f.name for f in schema if pa.types.is_string(f.type) and f.name not in ("id", "key", "text")]
    with pq.ParquetWriter(
        file, schema, compression="zstd", use_dictionary=repeating or False, store_schema=True
    ) as parquet:
        yield parquet
