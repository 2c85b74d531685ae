"""Fields of a folder's files from the tables beside them (the `metadata.*` convention of Hugging Face)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sluice.errors import StorageError
from sluice.readers.protocol import FileStat
from sluice.readers.source import Source
from sluice.sample import Item, Note, Sample
from sluice.sample.members import FIELDS_COLUMN, leftover_fields

NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_TEXT_COLUMNS = ("text", "caption")
_NOT_FIELDS = ("file_name", "id", "key", "parent", "items", "members")

Row = dict[str, Any]


def is_metadata(path: str) -> bool:
    """Is this file a table about the files beside it (`metadata.csv`, ours: `metadata-00000.parquet`)?"""
    name = path.rpartition("/")[2]
    return name in NAMES or _is_ours(name)


def _is_ours(name: str) -> bool:
    number = name.removeprefix("metadata-").removesuffix(".parquet")
    return len(number) == len(name) - len("metadata-.parquet") and number.isdigit()


def metadata_files(source: Source, folder: str) -> tuple[FileStat, ...]:
    """The tables of one folder of the source ("" is its root)."""
    place = source.root / folder if folder else source.root
    prefix = f"{folder}/" if folder else ""
    if folder:  # a question for each name is cheaper than listing every folder a second time
        found = [(name, (place / name).stat()) for name in NAMES]
        return tuple(FileStat(prefix + n, e.size, e.mtime_ns, e.etag) for n, e in found if e is not None)
    return tuple(
        FileStat(e.path, e.size, e.mtime_ns, e.etag)
        for e in place.list(recursive=False)
        if is_metadata(e.path)
    )


@dataclass(frozen=True, slots=True)
class Fields:
    """Rows by path relative to the source root, and notes on tables that could not be read."""

    rows: dict[str, Row]
    notes: tuple[Note, ...] = ()

    def complete(self, sample: Sample, paths: Sequence[str]) -> Sample:
        """The sample with its fields and caption; one row is taken, that of the first file named."""
        if self.notes:
            return replace(sample, items=(), notes=self.notes)
        row = next((self.rows[p] for p in paths if p in self.rows), None)
        if row is None:
            return sample
        items = list(sample.items)
        for column in _TEXT_COLUMNS:
            value = row.get(column)
            if isinstance(value, str):
                names = {item.name for item in items}
                name = next(n for n in ("txt", f"{column}.txt", f"metadata.{column}.txt") if n not in names)
                items.append(Item("text", "text/plain", name, text=value))
        skip = (*_NOT_FIELDS, *_TEXT_COLUMNS)
        fields = {k: v for k, v in row.items() if k not in skip and v is not None}
        fields |= leftover_fields(fields.pop(FIELDS_COLUMN, None))
        return replace(sample, items=tuple(items), fields=fields)


class Sidecars:
    """The tables of a source, read once and kept while slices of the same folder follow each other."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: tuple[tuple[FileStat, ...], Fields] = ((), Fields({}))

    def __getstate__(self) -> dict[str, Any]:
        return {"_source": self._source, "_known": ((), Fields({}))}

    def of(self, tables: Sequence[FileStat]) -> Fields:
        """The rows of these tables; where two name one file, the table nearest to it counts."""
        wanted = tuple(sorted(tables, key=lambda f: (f.path.count("/"), f.path)))
        if self._known[0] != wanted:
            self._known = (wanted, self._read(wanted))
        return self._known[1]

    def _read(self, tables: tuple[FileStat, ...]) -> Fields:
        rows: dict[str, Row] = {}
        notes = []
        for table in tables:
            folder = table.path.rpartition("/")[0]
            try:
                for row in _rows(self._source.locate(table).read(), table.path):
                    name = row.get("file_name")
                    if isinstance(name, str):
                        rows[f"{folder}/{name}" if folder else name] = row
            except (StorageError, ValueError, RecursionError, csv.Error) as error:
                detail = f"{table.path}: {str(error).strip()[:200]}"
                notes.append(Note("read", "metadata table not readable", detail, "read"))
        return Fields(rows, tuple(notes))


def _rows(data: bytes, path: str) -> Iterator[Row]:
    if path.endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            yield from pq.read_table(io.BytesIO(data)).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise ValueError(str(error)) from error
    elif path.endswith(".csv"):
        yield from csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    else:
        for line in data.decode("utf-8-sig").splitlines():
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("a line is not an object")
                yield row
