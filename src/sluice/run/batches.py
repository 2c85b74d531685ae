"""Micro-batches of a unit, and the views of its samples that the store remembers."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import pyarrow as pa
import xxhash

from sluice.errors import StorageError
from sluice.plan import Unit
from sluice.readers import Reader
from sluice.run.engine import Beat, rest
from sluice.sample import Batch, Item, Sample
from sluice.store.fragments import source_names

MICRO_BATCH_SAMPLES = 64
"""Samples measured together: 2 % over a bare loop, where 1,000 cost 14 % (measured, see the design)."""
MICRO_BATCH_BYTES = 64 << 20
"""Encoded bytes of a micro-batch at which it is cut short."""


def micro_batches(
    reader: Reader, unit: Unit, rows: Collection[int] | None, beat: Beat
) -> Iterator[tuple[list[int], list[Sample]]]:
    """The samples of a unit with their row numbers, a bounded number at a time."""
    numbers = sorted(rows) if rows is not None else None
    batch: list[Sample] = []
    at: list[int] = []
    size = 0
    for position, sample in enumerate(reader.read(unit.slice, rows)):
        row = position if numbers is None else numbers[position]
        if unit.max_rows is not None and row >= unit.max_rows:
            break
        rest(beat)
        batch.append(sample)
        at.append(row)
        size += sample.size_bytes
        if len(batch) >= MICRO_BATCH_SAMPLES or size >= MICRO_BATCH_BYTES:
            yield at, batch
            batch, at, size = [], [], 0
    if batch:
        yield at, batch


def with_bytes_in_hand(sample: Sample) -> Sample:
    """The sample with its media read, so that operators of several programs share one read."""
    return replace(sample, items=tuple(_read(item) for item in sample.items))


def _read(item: Item) -> Item:
    if item.media is None or item.media.data is not None or item.modality in ("video", "other"):
        return item
    try:
        return replace(item, media=replace(item.media, data=item.media.read()))
    except StorageError:
        return item  # the evaluator meets the same error and counts it


HASHED_BYTES = 16 << 20
"""Items up to this size are hashed when their sample is read, even where no operator reads them."""


def hashes_of(sample: Sample, known: Mapping[int, str]) -> list[str | None]:
    """The content hash of every item: those known from measuring, sidecars read for it; null where too big."""
    return [known.get(i) or _hash(item) for i, item in enumerate(sample.items)]


def _hash(item: Item) -> str | None:
    if item.media is None or item.modality == "image":
        return None  # an image that measuring did not read whole could not be read, or need not be
    data = item.media.data
    try:
        if data is None and (item.media.size or 0) <= HASHED_BYTES:
            data = item.media.read()
    except StorageError:
        return None  # writing meets the same error and counts it
    return None if data is None else xxhash.xxh3_128_hexdigest(data)


def base_table(samples: list[Sample], root: str) -> pa.Table:
    """What the reader gave of samples, as it is stored: views relative to the source root, keys, sizes."""
    batch = Batch.from_samples(samples, inline=False, root=root).data
    batch = batch.rename_columns(list(source_names(batch.schema.names).values()))
    sizes = pa.array([s.size_bytes for s in samples], pa.int64())
    table = pa.Table.from_batches([batch.append_column("size_bytes", sizes)])
    return _as_text(table, {f.name for f in batch.schema if not _storable(f.type)})


def _storable(kind: pa.DataType) -> bool:
    """Can Parquet hold the type? It has no structs without fields."""
    children = [kind.field(k).type for k in range(kind.num_fields)]
    return not (pa.types.is_struct(kind) and not children) and all(_storable(c) for c in children)


def joined(tables: list[pa.Table]) -> pa.Table:
    """Micro-batches' base tables as one; where they disagree on a column's type it becomes text."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        kinds: dict[str, set[pa.DataType]] = {}
        for table in tables:
            for field in table.schema:
                kinds.setdefault(field.name, set()).add(field.type)
        mixed = {name for name, types in kinds.items() if len(types - {pa.null()}) > 1}
        return pa.concat_tables([_as_text(t, mixed) for t in tables], promote_options="permissive")


def _as_text(table: pa.Table, names: set[str]) -> pa.Table:
    for name in names & set(table.column_names):
        at = table.column_names.index(name)
        column = table.column(name)
        if not pa.types.is_string(column.type):
            texts = [None if v is None else json.dumps(v, default=str) for v in column.to_pylist()]
            column = pa.chunked_array([pa.array(texts, pa.string())])
        table = table.set_column(at, name, column)
    return table
