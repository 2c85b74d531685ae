"""The packing plan: which survivor goes into which shard under which key, fixed before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sluice.recipe.recipe import Write
from sluice.run.partition import bytes_of, partition_values
from sluice.storage import Location
from sluice.store import Fates, Table
from sluice.writers import Partition, Writer

MOST_TOGETHER = 64
"""Children of one parent that stay together in a shard: of a film of thousands several workers take parts."""
SPREAD = 64
"""Of fewer children than this every parent has a shard of its own; with seven times as many, shards are as large as the
format has them. Children are counted and not workers: what is written must not depend on the machine.
"""


@dataclass(frozen=True)
class Packing:
    """Survivors as they are written: their ordinals, shard numbers and output keys.

    In source order; where the output is partitioned, that of each of its `partitions` after the other's. Of these
    there is one a shard, none where it is not.
    """

    ordinals: NDArray[np.int64]
    shard: NDArray[np.int32]
    keys: list[str]
    partitions: tuple[Partition, ...] = ()

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return int(self.shard[-1]) + 1 if len(self.shard) else 0

    def of(self, shard: int) -> slice:
        """The part of the survivors that one shard holds."""
        first, last = np.searchsorted(self.shard, [shard, shard + 1])
        return slice(int(first), int(last))

    def write(self, target: Location) -> None:
        """Write the plan as Parquet: ordinal, shard, key, and the partition where there is one."""
        table = pa.table({"ordinal": self.ordinals, "shard": self.shard, "key": self.keys})
        if self.partitions:
            names = pa.array([partition.value for partition in self.partitions])
            table = table.append_column("partition", names.take(pa.array(self.shard)))
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        target.write(sink.getvalue().to_pybytes())


def pack(
    table: Table,
    kept: NDArray[np.bool_],
    write: Write,
    stems: list[str],
    counted: str | None = None,
    gathers: int | None = None,
) -> Packing:
    """Cut the survivors into shards in source order, greedily by bytes or count.

    `stems` name each unit's source shard; a key that was taken by an earlier survivor is prefixed with it, so
    that no two samples of the output share a key. `counted` is the modality whose bytes count (None: all). With
    `gathers` (see `writers.Writer`) a shard ends where a parent's samples do, or after many of one; in a small output
    with every parent, so that there is work for all workers. Where the recipe partitions, every kept sample has a
    value (see `fail_without_partition`); partitions stand in the order of their names.
    """
    ordinals = np.flatnonzero(kept)
    units, keys = _columns(table, ordinals, ["unit", "key"])
    unique = unique_keys(keys.to_pylist(), [stems[u] for u in units.to_numpy().tolist()])
    sizes = bytes_of(table, ordinals, counted) if len(ordinals) else np.empty(0, np.int64)
    order, names, code = np.arange(len(ordinals)), np.empty(0, object), None
    if write.partition_by is not None:
        names, code = np.unique(
            partition_values(table, write.partition_by, ordinals).to_pylist(), return_inverse=True
        )
        order = np.argsort(code, kind="stable")
        code = code[order]
    sizes, may_begin, most = sizes[order], None, write.shard_samples
    if gathers is not None:
        (parents,) = _columns(table, ordinals, ["parent"])
        may_begin, sizes = families(parents.take(pa.array(order)).to_pylist(), sizes, code)
        children = len(parents) - parents.null_count
        most = most or (min(gathers, 1 + children // SPREAD) if children else gathers)
    shard = cut_shards(sizes, write.shard_size, most, code, may_begin)
    if code is None:
        return Packing(ordinals, shard, unique)
    firsts = np.flatnonzero(np.diff(shard, prepend=-1))
    values = [str(names[c]) for c in code[firsts]]
    partitions = tuple(Partition(v, k - values.index(v)) for k, v in enumerate(values))
    return Packing(ordinals[order], shard, [unique[k] for k in order], partitions)


SAME_ID = "duplicate id in the output"
"""Why a sample is not written where files are named by id, and one before it has its own."""


def fail_twins(table: Table, fates: Fates, writer: Writer | None) -> None:
    """Let kept samples fail whose id an earlier kept one has, where the format names files by id."""
    if getattr(writer, "names_by_id", False):
        for ordinal in np.flatnonzero(fates.kept & ~without_twins(table, fates.kept)).tolist():
            fates.fail(ordinal, SAME_ID)


def without_twins(
    table: Table, chosen: NDArray[np.bool_], others: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """The chosen samples, but for those whose id an earlier chosen one, or one of the `others`, has.

    Copies of one video have clips of the same ids.
    """
    if not chosen.any():
        return chosen
    (ids,) = _columns(table, np.arange(len(chosen)), ["id"])
    code = ids.combine_chunks().dictionary_encode().indices.to_numpy()
    taken = np.zeros(len(chosen), bool)
    if others is not None:
        taken[code[others]] = True
    candidates = np.flatnonzero(chosen & ~taken[code])
    _, first = np.unique(code[candidates], return_index=True)
    found = np.zeros_like(chosen)
    found[candidates[first]] = True
    return found


def cut_shards(
    sizes: NDArray[np.int64],
    shard_size: int,
    shard_samples: int | None,
    partition: NDArray[np.int64] | None = None,
    may_begin: NDArray[np.bool_] | None = None,
) -> NDArray[np.int32]:
    """The shard of each sample: greedily, a shard is closed before it would exceed its bytes or its samples.

    `partition`, where given, numbers each sample's; no shard has samples of two. `may_begin` says at which samples a
    shard may begin (None: at all): one that is full goes on up to the next of them.
    """
    shard = np.zeros(len(sizes), np.int32)
    new = (
        np.diff(partition, prepend=partition[:1]) != 0
        if partition is not None
        else np.zeros(len(sizes), bool)
    )
    may = np.ones(len(sizes), bool) if may_begin is None else may_begin
    number, size, count = 0, 0, 0
    for i, of_sample in enumerate(sizes.tolist()):
        full = size + of_sample > shard_size or (shard_samples is not None and count >= shard_samples)
        if count and (new[i] or (full and may[i])):
            number, size, count = number + 1, 0, 0
        shard[i] = number
        size += of_sample
        count += 1
    return shard


def families(
    parents: Sequence[str | None], sizes: NDArray[np.int64], partition: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Where shards may begin so that samples of one parent stay together, up to 64 of them; and what each counts.

    All in the order of the output. Children are views of one source: its bytes count with the first, and again with
    the first of each `partition` (see `cut_shards`).
    """
    begins, at = np.ones(len(parents), bool), 0
    counts = sizes.copy()
    edges = np.diff(partition, prepend=partition[:1]) != 0 if partition is not None else np.zeros_like(begins)
    for i in range(1, len(parents)):
        if parents[i] is None or parents[i] != parents[i - 1] or edges[i]:
            at = i
        else:
            begins[i], counts[i] = (i - at) % MOST_TOGETHER == 0, 0
    return begins, counts


def unique_keys(keys: list[str], stems: list[str]) -> list[str]:
    """Keys without repetition: a repeated one gets its source shard's stem, then a number, as prefix."""
    taken: set[str] = set()
    out = []
    for key, stem in zip(keys, stems, strict=True):
        candidate, n = key, 0
        folder, slash, name = key.rpartition("/")
        while candidate in taken:
            prefix = stem if n == 0 else f"{stem}-{n}"
            candidate = f"{folder}{slash}{prefix}-{name}"
            n += 1
        taken.add(candidate)
        out.append(candidate)
    return out


def _columns(table: Table, ordinals: NDArray[np.int64], names: list[str]) -> list[pa.ChunkedArray]:
    pieces = [pq.read_table(path, columns=names) for path in table.paths()]
    if not pieces or not len(ordinals):
        return [pa.chunked_array([], pa.null()) for _ in names]
    return list(pa.concat_tables(pieces).take(pa.array(ordinals)).columns)
