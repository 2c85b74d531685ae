"""Fragments: the cells that one unit computed together, written once and addressed by what made them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from sluice.plan.columns import Column
from sluice.sample import Note
from sluice.storage import Location

NOTE_TYPE = pa.struct(
    [
        ("kind", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("operator", pa.string()),
        ("item", pa.int32()),
    ]
)
"""Why a value is null or a sample failed; see `sluice.sample.Note`."""

_MARK = b"sluice.column"
_MAKERS = b"sluice.operators"
_FILE = b"sluice.fragment"
FORMAT = 2
"""Version of a fragment's layout. What another version of Sluice wrote is not known, and measured again."""

HASHES = "item_hashes"
"""The pseudo-column of content hashes (one an item, null where its bytes were not read whole)."""
HASHES_MARK = "xxh3-128.0"
NOT_READ = frozenset({"bytes not readable", "file not readable"})
"""Reasons of what could not be fetched: it may well be readable another time."""

OWN_COLUMNS = frozenset({"ordinal", "unit", "row", "size_bytes", "failure", "item_errors", "notes", HASHES})
"""Columns of fragments and wide tables that are ours; a source column of such a name is called `source_…`."""


def source_names(names: Sequence[str], taken: Container[str] = OWN_COLUMNS) -> dict[str, str]:
    """The names under which source columns are stored: their own, or `source_…` where those are taken."""
    found = {}
    for name in names:
        free = name
        while free in taken or (free != name and free in names):
            free = f"source_{free}"
        found[name] = free
    return found


@dataclass(frozen=True, slots=True)
class Fragment:
    """One stored fragment: where it lies, the marks of its columns, and how many rows it covers of all.

    `makers` has for each mark the names under which the operators behind it wrote their notes. `transient`
    is a digest of the failures that another try may not meet, "" where there are none.
    """

    location: Location
    marks: Mapping[str, str]
    rows: int
    of_rows: int
    max_items: Mapping[str, int]
    transient: str
    makers: Mapping[str, frozenset[str]]

    @property
    def whole(self) -> bool:
        """Whether it covers every row of its unit."""
        return self.rows == self.of_rows

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Its table, or some of its columns."""
        return pq.read_table(pa.BufferReader(self.location.read()), columns=columns)


class Fragments:
    """All fragments of a store: `fragments/<unit>/<hash>.parquet`."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._known: dict[str, list[str]] | None = None

    def listing(self) -> dict[str, list[str]]:
        """File names by unit, listed once; `refresh` lists again."""
        if self._known is None:
            self.refresh()
        assert self._known is not None
        return self._known

    def refresh(self) -> None:
        """List the store's fragments again."""
        known: dict[str, list[str]] = {}
        if self.location.exists():
            for entry in self.location.list():
                unit, _, name = entry.path.rpartition("/")
                if name.endswith(".parquet"):
                    known.setdefault(unit, []).append(name)
        self._known = known

    def of(self, unit: str) -> list[Fragment]:
        """The fragments of one unit, in a fixed order."""
        return self._opened(self.location / unit, self.listing().get(unit, ()))

    def stored(self, unit: str) -> list[Fragment]:
        """The fragments of one unit as they are now, without listing the whole store."""
        folder = self.location / unit
        names = [e.path for e in folder.list() if e.path.endswith(".parquet")] if folder.exists() else []
        return self._opened(folder, names)

    def forget(self, unit: str) -> None:
        """Delete all fragments of one unit."""
        folder = self.location / unit
        for entry in list(folder.list()) if folder.exists() else ():
            (folder / entry.path).delete()

    def _opened(self, folder: Location, names: Iterable[str]) -> list[Fragment]:
        found = (self._open(folder / name) for name in sorted(names))
        return [fragment for fragment in found if fragment is not None]

    def _open(self, location: Location) -> Fragment | None:
        """The fragment there; None where it is damaged or of another format, and so tells nothing."""
        source: Any = location.path if location.is_local else pa.BufferReader(location.read())
        try:
            schema = pq.read_schema(source)
        except pa.ArrowInvalid:
            return None
        info = json.loads((schema.metadata or {}).get(_FILE, b"{}"))
        if info.get("format") != FORMAT:
            return None
        marked = [f for f in schema if f.metadata and _MARK in f.metadata]
        marks = {f.metadata[_MARK].decode(): f.name for f in marked}
        makers = {
            f.metadata[_MARK].decode(): frozenset(f.metadata[_MAKERS].decode().split("\n"))
            for f in marked
            if _MAKERS in f.metadata
        }
        return Fragment(
            location, marks, info["rows"], info["of_rows"], info["max_items"], info["transient"], makers
        )

    def write(
        self,
        unit: str,
        *,
        of_rows: int,
        rows: Sequence[int],
        columns: Iterable[tuple[Column, Sequence[Any]]],
        notes: Sequence[Sequence[Note]],
        hashes: Sequence[Sequence[str | None]] | None = None,
        base: pa.Table | None = None,
        base_mark: str = "",
    ) -> str:
        """Write one fragment atomically; returns its file name. Equal content gives equal bytes."""
        fields = [pa.field("row", pa.int64())]
        arrays: list[Any] = [pa.array(rows, pa.int64())]
        for column, values in columns:
            makers = "\n".join(sorted(column.operators)).encode()
            marked = {_MARK: column.mark.encode(), _MAKERS: makers}
            fields.append(pa.field(column.name, column.arrow, metadata=marked))
            arrays.append(_array(values, column))
        if base is not None:
            free = source_names(base.column_names, {f.name for f in fields})
            for name in base.column_names:
                mark = {_MARK: f"{base_mark}:{name}".encode()}
                fields.append(pa.field(free[name], base.schema.field(name).type, metadata=mark))
                arrays.append(base.column(name))
        if hashes is not None:
            fields.append(pa.field(HASHES, pa.list_(pa.string()), metadata={_MARK: HASHES_MARK.encode()}))
            arrays.append(pa.array(hashes, pa.list_(pa.string())))
        fields.append(pa.field("notes", pa.list_(NOTE_TYPE)))
        arrays.append(pa.array([_note_rows(n) for n in notes], pa.list_(NOTE_TYPE)))
        info = {
            "format": FORMAT,
            "rows": len(rows),
            "of_rows": of_rows,
            "max_items": _max_items(base),
            "transient": _transient(rows, notes),
        }
        schema = pa.schema(fields, metadata={_FILE: json.dumps(info, sort_keys=True).encode()})
        table = pa.Table.from_arrays(arrays, schema=schema)
        name = fragment_name([f.metadata[_MARK].decode() for f in fields if f.metadata], rows, of_rows)
        (self.location / unit / name).write(_parquet_bytes(table))
        return name


def fragment_name(marks: Iterable[str], rows: Sequence[int], of_rows: int) -> str:
    """The name of the fragment with these columns and rows: known before it is written."""
    cells = "all" if len(rows) == of_rows else xxhash.xxh3_64_hexdigest(np.asarray(rows, np.int64).tobytes())
    return xxhash.xxh3_128_hexdigest("\n".join([*sorted(marks), cells]).encode()) + ".parquet"


def _transient(rows: Sequence[int], notes: Sequence[Sequence[Note]]) -> str:
    """A digest of the failures that another try may not meet: what hung or died, what could not be fetched."""
    found = [
        f"{row} {n.item} {n.operator} {n.reason}"
        for row, of_row in zip(rows, notes, strict=True)
        for n in of_row
        if n.kind == "crash" or n.reason in NOT_READ
    ]
    return xxhash.xxh3_64_hexdigest("\n".join(found).encode()) if found else ""


def _array(values: Sequence[Any], column: Column) -> pa.Array:
    if column.output.kind == "vector":
        plain = [_listed(v) for v in values]
        return pa.array(plain, column.arrow)
    return pa.array(values, column.arrow)


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [_listed(v) for v in value]
    return value


def _note_rows(notes: Sequence[Note]) -> list[dict[str, Any]] | None:
    if not notes:
        return None
    return [
        {"kind": n.kind, "reason": n.reason, "detail": n.detail[:500], "operator": n.operator, "item": n.item}
        for n in notes
    ]


def _max_items(base: pa.Table | None) -> dict[str, int]:
    most: dict[str, int] = {}
    if base is not None and "items" in base.column_names:
        items = base.column("items").combine_chunks()
        rows = pc.list_parent_indices(items).to_pylist()
        modalities = pc.struct_field(pc.list_flatten(items), "modality").to_pylist()
        for (_, modality), count in Counter(zip(rows, modalities, strict=True)).items():
            most[modality] = max(most.get(modality, 0), count)
    return most


def _parquet_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=False)
    data: bytes = sink.getvalue().to_pybytes()  # object stores take bytes, not Arrow's buffers
    return data
