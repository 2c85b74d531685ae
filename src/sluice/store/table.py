"""A wide table: all measures of a run's samples, in source order, ready to be queried."""

from __future__ import annotations

import atexit
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sluice.errors import StorageError, UsageError
from sluice.sample import Batch, Sample
from sluice.storage import Location
from sluice.storage.scratch import scratch
from sluice.store.aside import file_name


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column as stored: what kind of values, at which level, in which layout, with which meaning."""

    name: str
    kind: str
    modality: str | None
    layout: str
    mark: str
    absent: bool
    unit: str = ""
    higher_is: str = ""
    true_means: str = ""
    bits: int | None = None
    size: int | None = None


class Table:
    """The wide table under one location; opening it reads only its index."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.index: dict[str, Any] = json.loads((location / "index.json").read())
        self.columns: Mapping[str, TableColumn] = {c["name"]: TableColumn(**c) for c in self.index["columns"]}
        self.max_items: Mapping[str, int] = self.index["max_items"]

    def __len__(self) -> int:
        return int(self.index["rows"])

    @property
    def passthrough(self) -> Mapping[str, str]:
        """Source columns carried along, with the name of their Arrow type."""
        found: Mapping[str, str] = self.index["passthrough"]
        return found

    @property
    def units_digest(self) -> str:
        """What the ordinals count: the digest of the units, in order."""
        return str(self.index["units_digest"])

    @cached_property
    def _local(self) -> Path:
        """The folder of the table's files on this machine; remote ones are fetched once."""
        if self.location.is_local:
            return self.location.path
        room = ExitStack()
        folder = room.enter_context(scratch("sluice-table"))
        atexit.register(room.close)
        for entry in self.location.list():
            (self.location / entry.path).download(folder / entry.path)
        return folder

    def paths(self) -> list[Path]:
        """The wide Parquet files on this machine, in order."""
        return [self._local / part["path"] for part in self.index["parts"]]

    def connect(self) -> Any:
        """A DuckDB connection in which `samples` is this table; all connections share one database."""
        return self._database.cursor()

    @cached_property
    def _database(self) -> Any:
        import duckdb

        connection = duckdb.connect(":memory:")
        if self.index["parts"]:
            files = ", ".join("'" + str(p).replace("'", "''") + "'" for p in self.paths())
            connection.execute(f"CREATE VIEW samples AS SELECT * FROM read_parquet([{files}])")
        else:
            connection.execute("CREATE TABLE samples (ordinal BIGINT, id VARCHAR, key VARCHAR)")
        return connection

    def rows(self, ordinals: Sequence[int], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """The rows of these ordinals, in the order asked; reads only their row groups."""
        found: dict[int, dict[str, Any]] = {}
        start = 0
        wanted = np.unique(np.asarray(ordinals, np.int64))
        for part, path in zip(self.index["parts"], self.paths(), strict=True):
            here = wanted[(wanted >= start) & (wanted < start + part["rows"])] - start
            if len(here):
                found |= {start + at: row for at, row in _rows_at(path, here, columns).items()}
            start += part["rows"]
        return [found[int(o)] for o in ordinals]

    def take(self, ordinals: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """These columns of ascending ordinals, as Arrow; reads only the row groups they lie in."""
        pieces = []
        start = 0
        for part, path in zip(self.index["parts"], self.paths(), strict=True):
            low, high = np.searchsorted(ordinals, [start, start + part["rows"]])
            if high > low:
                pieces.extend(_groups_taken(path, ordinals[low:high] - start, columns))
            start += part["rows"]
        if not pieces:
            schema = pq.read_schema(self.paths()[0]) if self.index["parts"] else pa.schema([])
            return pa.schema([schema.field(c) for c in columns if c in schema.names]).empty_table()
        return pa.concat_tables(pieces)

    def batch(self, ordinals: Sequence[int]) -> list[Sample]:
        """The samples of these ordinals as the reader gave them (views relative to the source root)."""
        names = ["id", "key", "parent", "items", *self.passthrough]
        rows = self.rows(ordinals, names)
        if not rows:
            return []
        schema = pq.read_schema(self.paths()[0])
        data = pa.Table.from_pylist(rows, pa.schema([schema.field(n) for n in names]))
        return list(Batch(data.combine_chunks().to_batches()[0]).samples())

    def aside(self, name: str) -> Path:
        """The file of a column that is kept aside (see `sluice.store.aside`), on this machine."""
        return self._local / file_name(self.columns[name].kind, name)

    def vectors(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """Ordinals, item indices and the matrix [n, size] of a vector column's non-null values."""
        if name not in self.columns or self.columns[name].kind != "vector":
            raise UsageError(f"{name!r} is not a stored vector column")
        table = pq.read_table(self._local / file_name("vector", name))
        flat = table.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
        size = self.columns[name].size or 1
        return (
            table.column("ordinal").to_numpy(),
            table.column("item").to_numpy(),
            flat.reshape(-1, size).astype(np.float32, copy=False),
        )

    def vectors_of(self, name: str, ordinals: NDArray[np.int64], dtype: str) -> pa.Array:
        """The vectors of these ascending ordinals as fixed-size lists of `float16` or `float32`, null where none."""
        low, high = int(ordinals[0]), int(ordinals[-1])
        bounds = [("ordinal", ">=", low), ("ordinal", "<=", high)]
        found = pq.read_table(self._local / file_name("vector", name), filters=bounds)
        have = found.column("ordinal").to_numpy()
        at = np.searchsorted(have, ordinals)
        at[at == len(have)] = 0
        missing = (have[at] != ordinals) if len(have) else np.ones(len(ordinals), bool)
        size = self.columns[name].size or 1
        vectors = found.column("vector").combine_chunks().take(pa.array(at, mask=missing))
        return vectors.cast(pa.list_(pa.float16() if dtype == "float16" else pa.float32(), size))

    def rows_by_unit(self, ordinals: NDArray[np.int64]) -> dict[int, list[int]]:
        """For each unit number the rows, within the unit, of these ascending ordinals."""
        found = self.take(ordinals, ["unit", "row"])
        units, rows = found.column("unit").to_numpy(), found.column("row").to_numpy()
        return {int(u): rows[units == u].tolist() for u in np.unique(units)}

    def find(self, key: str) -> list[int]:
        """Ordinals of the samples with this key, by one small row group of the key index; else with this id."""
        connection = self.connect()
        index = self._local / "keys.parquet"
        if not index.exists():
            write_key_index(connection, index)
        files = str(index).replace("'", "''")
        for relation, column in ((f"read_parquet('{files}')", "key"), ("samples", "id")):
            sql = f"SELECT ordinal FROM {relation} WHERE {column} = ? ORDER BY ordinal"
            found = [int(o) for (o,) in connection.execute(sql, [key]).fetchall()]
            if found:
                return found
        return []


def _rows_at(path: Path, at: NDArray[np.int64], columns: Sequence[str] | None) -> dict[int, dict[str, Any]]:
    file = pq.ParquetFile(path)
    found: dict[int, dict[str, Any]] = {}
    start = 0
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        here = at[(at >= start) & (at < start + size)] - start
        if len(here):
            table = file.read_row_group(group, columns=columns).take(pa.array(here))
            found |= {int(start + i): row for i, row in zip(here, table.to_pylist(), strict=True)}
        start += size
    return found


def _groups_taken(path: Path, at: NDArray[np.int64], columns: Sequence[str]) -> list[pa.Table]:
    file = pq.ParquetFile(path)
    pieces = []
    start = 0
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        low, high = np.searchsorted(at, [start, start + size])
        if high > low:
            table = file.read_row_group(group, columns=list(columns))
            pieces.append(table.take(pa.array(at[low:high] - start)))
        start += size
    return pieces


GROUP_ROWS_OF_INDEX = 1 << 14
"""Rows of a row group of the key index: one is read for a look-up."""


def write_key_index(connection: Any, target: Path) -> None:
    """Write key → ordinal, sorted by key, so that a look-up prunes all row groups but one."""
    partial = target.with_name(f".{target.name}.tmp")
    name = str(partial).replace("'", "''")
    try:
        connection.execute(
            f"COPY (SELECT key, ordinal FROM samples ORDER BY key, ordinal) TO '{name}' "
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP_ROWS_OF_INDEX})"
        )
        partial.replace(target)
    except OSError as error:
        raise StorageError(f"cannot write the key index: {error}", where=str(target)) from error
