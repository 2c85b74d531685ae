"""Compaction: fragments become wide Parquet in source order, the only thing queries read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from sluice.plan.columns import Column
from sluice.sample import ITEM_TYPE, MEDIA_MODALITIES, Note
from sluice.sample.document import CONTENT, is_document
from sluice.storage import Location
from sluice.store.aside import ASIDE, write_aside
from sluice.store.fragments import HASHES, HASHES_MARK, NOTE_TYPE, Fragment
from sluice.store.passthrough import SourceColumn, base_marks, source_columns, widened

PART_ROWS = 1 << 20
"""Rows of one wide file: about a million, so that ten million samples are ten files."""
GROUP_ROWS = 1 << 16
"""Rows of a row group: small enough that one sample's values are read in milliseconds."""

BASE_TYPES = {
    "id": pa.string(),
    "key": pa.string(),
    "parent": pa.string(),
    "items": pa.list_(ITEM_TYPE),
    "size_bytes": pa.int64(),
}
FORMAT = 3
"""Version of the wide layout; part of every table's digest."""


@dataclass(frozen=True)
class UnitCells:
    """What is known of one unit: its key, its row count, the fragments chosen for it, and what its rows come from.

    `parents` are those of a unit whose rows a splitter made.
    """

    key: str
    rows: int
    base: Fragment
    fragments: tuple[Fragment, ...]
    parents: Fragment | None = None


def table_digest(units: Sequence[UnitCells], columns: Sequence[Column]) -> str:
    """The address of a wide table: its columns and, unit by unit, the fragments it is made of."""
    hasher = xxhash.xxh3_128(f"{FORMAT}\n".encode())
    for column in columns:
        hasher.update(f"{column.name}={column.mark}\n".encode())
    for unit in units:
        # A fragment keeps its name when what had crashed is tried again; its failures tell the two apart.
        origin = () if unit.parents is None else (unit.parents,)
        names = sorted({f.location.name + f.transient for f in (unit.base, *unit.fragments, *origin)})
        hasher.update(f"{unit.key}:{','.join(names)}\n".encode())
    return hasher.hexdigest()


def compact(target: Location, units: Sequence[UnitCells], columns: Sequence[Column]) -> None:
    """Write the wide table of these units and columns under `target`, unless it is there already.

    Holds about `GROUP_ROWS` rows at a time. `index.json` is written last and marks it complete.
    """
    if (target / "index.json").exists():
        return
    max_items: dict[str, int] = {}
    for unit in units:
        for modality, count in unit.base.max_items.items():
            max_items[modality] = max(max_items.get(modality, 0), count)
    passthrough = source_columns([u.base for u in units], BASE_TYPES, {c.name for c in columns})
    aside = [c for c in columns if c.output.kind in ASIDE]
    plain = [c for c in columns if c.output.kind not in ASIDE]
    absent = _with_absent_cells(units, columns)
    makers = {c.mark for c in columns}
    parts = _write_parts(target, _tables(units, plain, passthrough, max_items, absent, makers))
    sizes = {column.name: write_aside(target, column, _lists(column, units)) for column in aside}
    index = {
        "format": FORMAT,
        "rows": sum(unit.rows for unit in units),
        "parts": parts,
        "max_items": max_items,
        "passthrough": {each.stored: str(each.kind) for each in passthrough},
        "units_digest": xxhash.xxh3_128_hexdigest("\n".join(unit.key for unit in units).encode()),
        "columns": [_describe(c, max_items, c.name in absent, sizes.get(c.name)) for c in columns],
    }
    (target / "index.json").write(json.dumps(index, indent=1, sort_keys=True).encode())


def _describe(column: Column, max_items: dict[str, int], absent: bool, size: int | None) -> dict[str, Any]:
    meaning = column.output.field
    return {
        "name": column.name,
        "kind": column.output.kind,
        "modality": column.modality,
        "layout": "list" if _is_list(column, max_items) else "scalar",
        "mark": column.mark,
        "absent": absent,
        "unit": meaning.unit,
        "higher_is": meaning.higher_is,
        "true_means": meaning.true_means,
        "bits": meaning.bits,
        "size": size,
    }


def _is_list(column: Column, max_items: dict[str, int]) -> bool:
    return column.modality is not None and max_items.get(column.modality, 0) > 1


def _with_absent_cells(units: Sequence[UnitCells], columns: Sequence[Column]) -> set[str]:
    """Names of columns of which some cells were never computed."""
    found = set()
    for column in columns:
        for unit in units:
            if not any(f.whole and column.mark in f.marks for f in (unit.base, *unit.fragments)):
                found.add(column.name)
                break
    return found


def _tables(
    units: Sequence[UnitCells],
    columns: Sequence[Column],
    passthrough: Sequence[SourceColumn],
    max_items: dict[str, int],
    absent: set[str],
    makers: set[str],
) -> Iterator[pa.Table]:
    ordinal = 0
    wanted = {c.mark for c in columns}
    everything = [*(SourceColumn(n, n, kind) for n, kind in BASE_TYPES.items()), *passthrough]
    for number, unit in enumerate(units):
        read = {f.location.url: f.read(_wanted_names(f, wanted)) for f in (unit.base, *unit.fragments)}
        base = read[unit.base.location.url]
        data: dict[str, Any] = {
            "ordinal": pa.array(np.arange(ordinal, ordinal + unit.rows)),
            "unit": pa.array(np.full(unit.rows, number, np.int32)),
            "row": pa.array(np.arange(unit.rows, dtype=np.int32)),
        }
        marks = base_marks(unit.base)
        for each in everything:
            if each.name in marks:
                data[each.stored] = widened(base.column(unit.base.marks[marks[each.name]]), each.kind)
            else:
                data[each.stored] = pa.nulls(unit.rows, each.kind)
        for column in columns:
            values, missing = _cells(column, unit, read)
            if _is_list(column, max_items):
                data[column.name] = values
                data |= _aggregates(column, values)
            else:
                data[column.name] = _scalar(values) if column.modality else values
            if column.name in absent:
                data[f"{column.name}__absent"] = missing
        data[HASHES] = _hashes(unit, read)
        data |= _failures(unit, read, makers)
        yield pa.table(data)
        ordinal += unit.rows


def _lists(column: Column, units: Sequence[UnitCells]) -> Iterator[pa.Array]:
    """The column's entries, unit by unit, as lists of one value an item (of one, for a sample-level column)."""
    for unit in units:
        wanted = [f for f in unit.fragments if column.mark in f.marks]
        read = {f.location.url: f.read(["row", f.marks[column.mark]]) for f in wanted}
        values, _ = _cells(column, unit, read)
        yield values if column.modality else _wrapped(values)


def _wrapped(values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.arange(len(values) + 1, dtype=np.int32)), values)


def _wanted_names(fragment: Fragment, wanted: set[str]) -> list[str]:
    """Columns to read from a fragment: the base's own, those wanted, and the notes."""
    names = [n for m, n in fragment.marks.items() if ":" in m or m in wanted or m == HASHES_MARK]
    return ["row", *names, "notes"]


def _cells(column: Column, unit: UnitCells, read: dict[str, pa.Table]) -> tuple[pa.Array, pa.Array]:
    """The column's entry for every row of the unit, and which rows have none computed."""
    source = np.full(unit.rows, -1, np.int64)
    pieces, start = [], 0
    for fragment in unit.fragments:
        name = fragment.marks.get(column.mark)
        if name is None:
            continue
        table = read[fragment.location.url]
        values = table.column(name).combine_chunks().cast(column.arrow)
        rows = table.column("row").to_numpy()
        source[rows] = start + np.arange(len(rows))
        pieces.append(values)
        start += len(rows)
    missing = pa.array(source < 0)
    if not pieces:
        return pa.nulls(unit.rows, column.arrow), missing
    everything = pa.concat_arrays(pieces) if len(pieces) > 1 else pieces[0]
    if start == unit.rows and bool((source == np.arange(unit.rows)).all()):
        return everything, missing
    return everything.take(pa.array(source, mask=source < 0)), missing


def _hashes(unit: UnitCells, read: dict[str, pa.Table]) -> pa.Array:
    """Content hashes from a fragment that read the bytes whole; null where none did."""
    for fragment in (unit.base, *unit.fragments):
        if fragment.whole and HASHES_MARK in fragment.marks:
            return read[fragment.location.url].column(HASHES).combine_chunks()
    return pa.nulls(unit.rows, pa.list_(pa.string()))


def _scalar(lists: pa.Array) -> pa.Array:
    """The only value of lists that hold at most one; null for empty ones."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    at = np.cumsum(lengths) - lengths
    return lists.flatten().take(pa.array(at.astype(np.int64), mask=lengths == 0))


def _aggregates(column: Column, lists: pa.Array) -> dict[str, pa.Array]:
    """Minimum, maximum, mean and count of the non-null values of each list, in a fixed order of addition."""
    if column.output.kind != "number":
        return {}
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    flat = lists.flatten()
    valid = flat.is_valid().to_numpy(zero_copy_only=False)
    rows = np.repeat(np.arange(len(lists)), lengths)[valid]
    values = flat.drop_null().to_numpy(zero_copy_only=False).astype(np.float64)
    count = np.bincount(rows, minlength=len(lists))
    lowest, highest, total = np.full(len(lists), np.inf), np.full(len(lists), -np.inf), np.zeros(len(lists))
    np.minimum.at(lowest, rows, values)
    np.maximum.at(highest, rows, values)
    np.add.at(total, rows, values)
    none = count == 0
    mean = np.divide(total, count, out=np.zeros_like(total), where=~none)
    return {
        f"{column.name}__min": pa.array(lowest, mask=none),
        f"{column.name}__max": pa.array(highest, mask=none),
        f"{column.name}__mean": pa.array(mean, mask=none),
        f"{column.name}__count": pa.array(count),
    }


_NO_OPERATOR = frozenset({"", "read", "reading"})
"""What notes name that blame no operator: the reader, or nothing in particular."""


def _failures(unit: UnitCells, read: dict[str, pa.Table], marks: set[str]) -> dict[str, pa.Array]:
    """Notes of all fragments merged, and what they mean for the sample; see `judge_notes`.

    `marks` are those of the table's columns: what other operators had to say in a fragment is not ours.
    """
    notes: dict[int, dict[tuple[Any, ...], dict[str, Any]]] = {}
    for fragment in {f.location.url: f for f in (unit.base, *unit.fragments)}.values():
        ours = frozenset().union(*(m for mark, m in fragment.makers.items() if mark in marks)) | _NO_OPERATOR
        table = read[fragment.location.url]
        column = table.column("notes").combine_chunks()
        rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        for at, entries in zip(rows, column.take(pa.array(rows)).to_pylist(), strict=True):
            found = notes.setdefault(table.column("row")[int(at)].as_py(), {})
            for n in entries:
                if n["operator"] in ours:
                    found.setdefault((n["kind"], n["reason"], n["operator"], n["item"]), n)
    items = read[unit.base.location.url].column("items")
    failure: list[str | None] = [None] * unit.rows
    errors = np.zeros(unit.rows, np.int32)
    merged: list[list[dict[str, Any]] | None] = [None] * unit.rows
    for row, found in notes.items():
        merged[row] = list(found.values()) or None
        own = items[row].as_py()
        modalities, names = [i["modality"] for i in own], [i["name"] for i in own]
        failure[row], errors[row] = judge_notes([Note(**n) for n in found.values()], modalities, names)
    return {
        "failure": pa.array(failure, pa.string()),
        "item_errors": pa.array(errors),
        "notes": pa.array(merged, pa.list_(NOTE_TYPE)),
    }


def judge_notes(
    notes: Sequence[Note], modalities: Sequence[str], names: Sequence[str]
) -> tuple[str | None, int]:
    """Why a sample with items of these modalities and names fails whatever the policy, and how many items do not.

    It fails where it could not be read, where an operator broke on it, and where the only item that carries it
    (see `carriers`) is unreadable. Unreadable items of other samples are counted.
    """
    for note in notes:
        if note.kind in ("read", "error", "crash"):
            return note.reason, 0
    unreadable: dict[int, str] = {}
    for note in notes:
        if note.kind == "unreadable":
            unreadable.setdefault(note.item, note.reason)
    alone = carriers(modalities, names)
    if len(alone) == 1 and alone[0] in unreadable:
        return unreadable[alone[0]], 0
    return None, len(unreadable)


def carriers(modalities: Sequence[str], names: Sequence[str]) -> list[int]:
    """The items without any of which a sample is nothing: its media, or its texts where it has none.

    A caption without its picture is nothing; a document is what is left of it, so all of its content carries it.
    """
    if is_document(modalities, names):
        return [i for i, modality in enumerate(modalities) if modality in CONTENT]
    media = [i for i, modality in enumerate(modalities) if modality in MEDIA_MODALITIES]
    return media or [i for i, modality in enumerate(modalities) if modality == "text"]


def _write_parts(target: Location, tables: Iterator[pa.Table]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    waiting: list[pa.Table] = []
    with ExitStack() as open_part:
        writer: Any = None
        for table in tables:
            waiting.append(table)
            if writer is None:
                parts.append({"path": f"part-{len(parts):05d}.parquet", "rows": 0})
                sink = open_part.enter_context((target / parts[-1]["path"]).writer())
                writer = open_part.enter_context(parquet_writer(sink, table.schema))
            parts[-1]["rows"] += table.num_rows
            if sum(t.num_rows for t in waiting) >= GROUP_ROWS:
                _flush(writer, waiting)
            if parts[-1]["rows"] >= PART_ROWS:
                _flush(writer, waiting)
                open_part.close()
                writer = None
        if writer is not None:
            _flush(writer, waiting)
    return parts


def _flush(writer: Any, waiting: list[pa.Table]) -> None:
    if waiting:
        writer.write_table(pa.concat_tables(waiting), row_group_size=GROUP_ROWS)
        waiting.clear()


def parquet_writer(sink: Any, schema: pa.Schema) -> Any:
    """A writer of wide tables of this schema."""
    # Dictionaries only where values repeat: floats are 4 × faster to write without. Scalars take LZ4: rules over
    # thirty float columns cost half the CPU that they cost with Zstandard, at 4 % more bytes (decision 0004).
    repeated = [f.name for f in schema if pa.types.is_string(f.type) and f.name not in ("id", "key")]
    scalar = {f.name for f in schema if not pa.types.is_nested(f.type) and not pa.types.is_string(f.type)}
    codecs = {path: "lz4" if path in scalar else "zstd" for path in _leaf_paths(schema)}
    return pq.ParquetWriter(sink, schema, compression=codecs, use_dictionary=repeated)


def _leaf_paths(schema: pa.Schema) -> list[str]:
    """Parquet's own names of a schema's leaf columns (`items.list.element.uri`)."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    found = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return [found.column(k).path for k in range(len(found))]
