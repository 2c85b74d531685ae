"""The packing plan: which survivor goes into which shard under which key, fixed before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sluice.recipe.recipe import Write
from sluice.storage import Location
from sluice.store import Table


@dataclass(frozen=True)
class Packing:
    """Survivors in source order: their ordinals, shard numbers and output keys."""

    ordinals: NDArray[np.int64]
    shard: NDArray[np.int32]
    keys: list[str]

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return int(self.shard[-1]) + 1 if len(self.shard) else 0

    def of(self, shard: int) -> slice:
        """The part of the survivors that one shard holds."""
        first, last = np.searchsorted(self.shard, [shard, shard + 1])
        return slice(int(first), int(last))

    def write(self, target: Location) -> None:
        """Write the plan as Parquet: ordinal, shard, key."""
        table = pa.table({"ordinal": self.ordinals, "shard": self.shard, "key": self.keys})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        target.write(sink.getvalue().to_pybytes())


def pack(table: Table, kept: NDArray[np.bool_], write: Write, stems: list[str]) -> Packing:
    """Cut the survivors into shards in source order, greedily by bytes or count.

    `stems` name each unit's source shard; a key that was taken by an earlier survivor is prefixed with it, so
    that no two samples of the output share a key.
    """
    ordinals = np.flatnonzero(kept)
    sizes, units, keys = _columns(table, ordinals)
    shard = cut_shards(sizes, write.shard_size, write.shard_samples)
    return Packing(ordinals, shard, unique_keys(keys, [stems[u] for u in units]))


def cut_shards(sizes: NDArray[np.int64], shard_size: int, shard_samples: int | None) -> NDArray[np.int32]:
    """The shard of each sample: greedily, a shard is closed before it would exceed its bytes or its samples."""
    shard = np.zeros(len(sizes), np.int32)
    number, size, count = 0, 0, 0
    for i, of_sample in enumerate(sizes.tolist()):
        full = size + of_sample > shard_size or (shard_samples is not None and count >= shard_samples)
        if count and full:
            number, size, count = number + 1, 0, 0
        shard[i] = number
        size += of_sample
        count += 1
    return shard


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


def _columns(table: Table, ordinals: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any], list[str]]:
    names = ["size_bytes", "unit", "key"]
    pieces = [pq.read_table(path, columns=names) for path in table.paths()]
    if not pieces or not len(ordinals):
        return np.empty(0, np.int64), np.empty(0, np.int32), []
    chosen = pa.concat_tables(pieces).take(pa.array(ordinals))
    sizes, units, keys = (chosen.column(name) for name in names)
    return sizes.to_numpy(), units.to_numpy(), keys.to_pylist()
