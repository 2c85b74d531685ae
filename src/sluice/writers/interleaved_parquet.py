"""Writes interleaved documents as Parquet: one row an item, documents whole within a row group."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sluice.sample import Item, Sample
from sluice.sample.fields import Fields, types_of
from sluice.sample.members import FIELDS_COLUMN
from sluice.storage import Location
from sluice.writers.bodies import Body, Intake
from sluice.writers.columns import check_embeddings, measures, renamed, typed_columns
from sluice.writers.files import HashedFile, hashed
from sluice.writers.protocol import ShardResult

GROUP_BYTES = 16 << 20
GROUP_ROWS = 10_000

SCHEMA: dict[str, pa.DataType] = {
    "sample_id": pa.string(),
    "position": pa.int32(),
    "modality": pa.string(),
    "content_type": pa.string(),
    "text_content": pa.string(),
    "binary_content": pa.large_binary(),
    "source_ref": pa.string(),
    "materialize_error": pa.string(),
}
"""The reserved columns, in NeMo Curator's types; all others pass through with theirs."""

_OWN = ("source_ref", "materialize_error", "modality")
"""Fields of items that have columns of their own."""


class InterleavedParquetWriter:
    """`00000.parquet` with one row an item; a document's measures stand in its metadata row.

    A document's rows stand together, positions from 0, metadata at −1; row groups hold whole documents, up to
    16 MB or 10,000 rows. `images: reference` writes where an image lies (`source_ref`) instead of its bytes
    where it lies in a file; `embeddings` says how vectors go into the metadata rows.
    """

    format: ClassVar[str] = "interleaved-parquet"
    version: ClassVar[int] = 1

    def __init__(
        self,
        output: Location,
        *,
        images: Literal["embed", "reference"] = "embed",
        embeddings: str = "none",
    ) -> None:
        self.output = output
        self.by_reference = images == "reference"
        self.embeddings = check_embeddings(embeddings)

    def write_shard(
        self, index: int, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Write shard `index`."""
        intake = Intake(referred=True, pages=True)
        measured = measures(fields, self.embeddings)
        name = f"{index:05d}.parquet"
        with hashed(self.output / name) as file:
            rows = _Rows(file)
            try:
                for position, sample, found in intake(samples):
                    own = _measured(measured, position, sample.fields)
                    rows.add(sample.key, list(_rows(replace(sample, fields=own), found, self.by_reference)))
                rows.end()
            finally:
                rows.close()
        return ShardResult((file.done(name),), len(intake.kept), intake.failed)


def _measured(table: pa.Table | None, position: int, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The sample's fields with its row of the table of measures; a field of a measure's name is `source_…`."""
    if table is None:
        return fields
    names = [f for f in table.schema if f.name not in ("id", "key") and f.name not in fields]
    values = {f.name: table.column(f.name)[position].as_py() for f in names}
    known = {name: value for name, value in values.items() if value is not None}
    return Fields({**fields, **known}, {**types_of(fields), **{f.name: f.type for f in names}})


def _rows(sample: Sample, found: Sequence[Body], by_reference: bool) -> Iterator[dict[str, Any]]:
    """The rows of a document: what the reserved columns hold, and under "" the fields that pass through."""
    place, fields = 0, sample.fields
    if fields and not any(item.modality == "metadata" for item in sample.items):
        yield _row("metadata", -1, fields, content_type="application/json")
    for body in found:
        item = body.item
        if item.modality == "metadata":
            own = item.text if item.text is not None else _json_of(item)
            passed, fields = fields, {}
            yield _row("metadata", -1, passed, content_type=item.content_type or None, text_content=own)
            continue
        yield _item_row(body, place, by_reference)
        place += 1


def _item_row(body: Body, place: int, by_reference: bool) -> dict[str, Any]:
    item, media = body.item, body.item.media
    known: dict[str, Any] = {"content_type": item.content_type or None}
    if item.modality == "text":
        try:
            known["text_content"] = body.data.decode()
        except UnicodeDecodeError:
            known["binary_content"] = body.data
    elif media is None:
        known["text_content"] = item.text
    elif by_reference and media.addressable:
        known["source_ref"] = _ref(item)
    else:
        known["binary_content"] = body.data
        if media.page is not None:
            known["source_ref"] = _ref(item)
    own = {name: item.fields[name] for name in ("source_ref", "materialize_error") if name in item.fields}
    modality = item.fields.get("modality", "other") if item.modality == "other" else item.modality
    return _row(
        str(modality), place, item.fields, **known, **{k: v for k, v in own.items() if k not in known}
    )


def _ref(item: Item) -> str:
    media = item.media
    assert media is not None
    value: dict[str, Any] = {"path": None, "member": None, "byte_offset": None, "byte_size": None}
    if media.uri:
        value |= {"path": media.uri, "byte_offset": media.offset, "byte_size": media.size}
    return json.dumps(value | ({} if media.page is None else {"frame_index": media.page}), ensure_ascii=False)


def _json_of(item: Item) -> str | None:
    """The text of metadata that lies in a member (`key.json`): it has no other place here."""
    if item.media is None:
        return json.dumps(dict(item.fields), ensure_ascii=False) if item.fields else None
    return item.media.read().decode("utf-8", "replace")


def _row(modality: str, position: int, fields: Mapping[str, Any], **known: Any) -> dict[str, Any]:
    return {"modality": modality, "position": position, **known, "": fields}


class _Rows:
    """Gathers rows into row groups of whole documents; the first group settles the types of other columns.

    One group is encoded and written, by a thread of its own that holds no lock of Python's, while the next one's
    images are read.
    """

    def __init__(self, file: HashedFile) -> None:
        self._file = file
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._schema: pa.Schema | None = None
        self._parquet: pq.ParquetWriter | None = None
        self._thread = ThreadPoolExecutor(1)
        self._written: Future[None] | None = None

    def add(self, key: str, rows: list[dict[str, Any]]) -> None:
        """Take in one document."""
        size = sum(len(row.get("binary_content") or b"") + len(row.get("text_content") or "") for row in rows)
        if self._rows and (self._bytes + size > GROUP_BYTES or len(self._rows) + len(rows) > GROUP_ROWS):
            self._flush()
        self._rows += [row | {"sample_id": key} for row in rows]
        self._bytes += size

    def end(self) -> None:
        """Write what is left."""
        if self._rows or self._parquet is None:
            self._flush()
        self._wait()

    def close(self) -> None:
        """Finish the file's footer, once nothing is being written any more."""
        self._thread.shutdown()
        if self._parquet is not None:
            self._parquet.close()

    def _wait(self) -> None:
        if self._written is not None:
            self._written.result()

    def _flush(self) -> None:
        columns = {
            name: pa.array([row.get(name) for row in self._rows], kind)
            for name, kind in SCHEMA.items()
            if name != "binary_content"
        }
        columns["binary_content"] = _uncopied([row.get("binary_content") for row in self._rows])
        columns = {name: columns[name] for name in SCHEMA}
        passed = [_passing(row[""]) for row in self._rows]
        if self._schema is None:
            found = typed_columns(passed, hints=self._hints(), nulls=True)
        else:
            settled = {f.name: f.type for f in self._schema if f.name not in SCHEMA}
            found = typed_columns(passed, settled, nulls=True)
        found.setdefault(FIELDS_COLUMN, pa.nulls(len(passed), pa.string()))
        table = pa.table(columns | found)
        if self._parquet is None:
            self._schema = table.schema
            told = [name for name in table.column_names if name != "binary_content"]
            self._parquet = pq.ParquetWriter(
                self._file,
                table.schema,
                # Pictures are compressed already, and no one asks which of them is the least.
                compression={
                    name: "none" if name == "binary_content" else "zstd" for name in table.column_names
                },
                use_dictionary=["sample_id", "modality", "content_type"],
                write_statistics=told,
                store_schema=True,
            )
        self._wait()
        self._written = self._thread.submit(
            self._parquet.write_table, table, row_group_size=max(1, len(self._rows))
        )
        self._rows, self._bytes = [], 0

    def _hints(self) -> dict[str, pa.DataType]:
        """The types that columns had in their source."""
        known: dict[str, pa.DataType] = {}
        for row in self._rows:
            for name, kind in types_of(row[""]).items():
                known.setdefault(name, kind)
        return {name: kind for name, kind in known.items() if name not in (*SCHEMA, FIELDS_COLUMN)}


def _passing(fields: Mapping[str, Any]) -> dict[str, Any]:
    return renamed({name: v for name, v in fields.items() if name not in _OWN}, SCHEMA)


def _uncopied(values: Sequence[bytes | None]) -> pa.ChunkedArray:
    """The values as a column, each a chunk of its own around the bytes as they are: nothing is copied."""
    chunks: list[pa.Array] = []
    for there, group in groupby(values, lambda value: value is not None):
        if not there:
            chunks.append(pa.nulls(sum(1 for _ in group), pa.large_binary()))
            continue
        for value in group:
            assert value is not None
            ends = pa.py_buffer(np.array([0, len(value)], np.int64))
            chunks.append(pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(value)]))
    return pa.chunked_array(chunks, pa.large_binary())
