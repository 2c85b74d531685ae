"""What each shard's task is told: the views of its samples, their fields, and what is left out of them.

Everything stays on Arrow: the driver never makes a Python object of a sample.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import astuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sluice.readers import Slice
from sluice.recipe.lock import Lock
from sluice.recipe.recipe import Write
from sluice.run.export import GONE, VIEWS, WriteTask, task_digest, to_ipc
from sluice.run.pack import Packing
from sluice.run.prepare import Prepared, writer_settings
from sluice.store import FATES, Fates, Table, step_name
from sluice.store.aside import ASIDE
from sluice.store.fates import KEPT, ItemsGone
from sluice.store.fragments import HASHES
from sluice.store.items import indices
from sluice.writers import Dropped

MODELS = "sluice.models"
"""Metadata of a column that a model made, in the tables of an output."""


def write_tasks(prepared: Prepared, table: Table, fates: Fates, packing: Packing) -> Iterator[WriteTask]:
    """The shards of a packing, of kept samples or of dropped ones, one after another.

    One shard's views and fields are in memory at a time.
    """
    write = prepared.recipe.write
    assert write is not None
    settings, marks = writer_settings(write), getattr(prepared.writer, "marks", ())
    rules = [step_name(number, step) for number, step in enumerate(prepared.recipe.steps)]
    for index in range(packing.shards):
        part = packing.of(index)
        ordinals, keys = packing.ordinals[part], pa.array(packing.keys[part], pa.string())
        known = table.take(ordinals, [*VIEWS, "unit", "row", HASHES, *table.passthrough])
        gone = _gone(known, ordinals, fates.dropped_items)
        views = known.select([*VIEWS, HASHES, *table.passthrough]).set_column(1, "key", keys)
        slices = () if prepared.reader.addressable else tuple(_slices(prepared, known))
        fields = _with_models(_fields(table, ordinals, keys, write, prepared.known.splits), prepared.lock)
        samples = to_ipc(views.append_column(GONE, gone))
        data = to_ipc(fields) if fields is not None else None
        given = [output.name for measure in prepared.plan.mappers.given for output in measure.outputs]
        measured = to_ipc(table.take(ordinals, given)) if given else None
        parts = [samples, data] if measured is None else [samples, data, measured]
        told = [write.format, settings, *prepared.plan.mappers.fingerprints, *marks]
        partition = packing.partitions[index] if packing.partitions else None
        if partition is not None:
            told.append([partition.value, partition.number])
        dropped = tuple(
            Dropped(FATES[fates.fate[o]], rules[fates.step[o]]) for o in ordinals if fates.fate[o] != KEPT
        )
        told += [astuple(each) for each in dropped]
        digest = task_digest(parts, told)
        yield WriteTask(index, samples, data, slices, digest, measured, partition, dropped)


def _gone(known: pa.Table, ordinals: NDArray[np.int64], dropped: ItemsGone) -> pa.Array:
    """For each sample the indices of items that are not written: unreadable ones and those rules dropped."""
    lists: list[list[int] | None] = [None] * known.num_rows
    for at in np.flatnonzero(np.isin(ordinals, np.fromiter(dropped, np.int64, len(dropped)))):
        modalities = [item["modality"] for item in known.column("items")[int(at)].as_py()]
        lists[int(at)] = sorted(indices(modalities, dropped[int(ordinals[at])])) or None
    return pa.array(lists, pa.list_(pa.int32()))


def _slices(prepared: Prepared, known: pa.Table) -> Iterator[tuple[Slice, tuple[int, ...]]]:
    units, rows = known.column("unit").to_numpy(), known.column("row").to_numpy()
    for unit in np.unique(units):
        part = prepared.known.laid_out(prepared.units[unit]).slice
        yield part, tuple(int(r) for r in rows[units == unit])


def _fields(
    table: Table, ordinals: NDArray[np.int64], keys: pa.Array, write: Write, splits: bool
) -> pa.Table | None:
    """The columns of the Parquet file beside a shard: id, key, parent, measures, and embeddings where asked.

    The source's own columns are not among them: they come with the samples, as mappers leave them.
    """
    if not write.parquet and not write.fields_in_json:
        return None
    plain = (name for name, column in table.columns.items() if column.kind not in ASIDE)
    origin = ("parent",) if splits else ()
    found = table.take(ordinals, ["id", "key", *origin, *plain])
    original = found.column("key").combine_chunks()
    if not original.equals(keys):
        found = found.append_column("key_original", original).set_column(1, "key", keys)
    if write.embeddings != "none":
        for name, column in table.columns.items():
            if column.kind == "vector" and table.max_items.get(column.modality or "", 1) <= 1:
                found = found.append_column(name, table.vectors_of(name, ordinals, write.embeddings))
    return found


def _with_models(fields: pa.Table | None, lock: Lock) -> pa.Table | None:
    """The columns with, in their metadata, the models behind them: what the lock says, as JSON."""
    if fields is None:
        return None
    models = {c.column: {MODELS: json.dumps(c.models, sort_keys=True)} for c in lock.columns if c.models}
    found = [f.with_metadata(models[f.name]) if f.name in models else f for f in fields.schema]
    return pa.Table.from_arrays(fields.columns, schema=pa.schema(found))
