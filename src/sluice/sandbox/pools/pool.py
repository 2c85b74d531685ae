"""A pool: which samples one arm of an experiment is trained on, by their ids. Media are never copied for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from sluice.errors import StorageError
from sluice.storage import Location

_ORIGIN = b"sluice.pool"
_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class Pool:
    """A selection of samples under a name.

    `ids` are strings as runs name their samples, in an order that is the same each time; an id that is there more
    than once is to be trained on more than once. `origin` says how the pool came to be (measure, cuts, seed, how
    many samples it was drawn from), as JSON data.
    """

    name: str
    ids: pa.Array
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def digest(self) -> str:
        """Tells pools apart by what is trained on: their ids in their order, and the run that their media are in.

        Neither the name nor how the pool was drawn counts.
        """
        found = xxhash.xxh3_128(str(self.origin.get("run") or "").encode())
        for start in range(0, len(self.ids), _AT_ONCE):
            some = self.ids.slice(start, _AT_ONCE).cast(pa.string())
            lines = pa.ListArray.from_arrays(pa.array([0, len(some)], pa.int32()), some)
            found.update(b"\n")
            found.update(pc.binary_join(lines, "\n")[0].as_buffer())
        return found.hexdigest()

    def write(self, file: Path) -> None:
        """Keep it in a Parquet file with one column, `id`; whole or not at all."""
        about = json.dumps({"name": self.name, "origin": dict(self.origin)}, sort_keys=True)
        table = pa.table({"id": self.ids}).replace_schema_metadata({_ORIGIN: about.encode()})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        Location(file).write(sink.getvalue().to_pybytes())

    @staticmethod
    def about(file: Path) -> tuple[dict[str, Any], int]:
        """The origin of a kept pool and how many samples it has, without reading its ids."""
        kept = pq.read_metadata(file)
        return json.loads((kept.metadata or {}).get(_ORIGIN, b"{}")).get("origin", {}), kept.num_rows

    @staticmethod
    def origins(folder: Path) -> dict[str, dict[str, Any]]:
        """The origins of the pools that are kept in a folder, by their names, each with its `size`; no id is read."""
        kept = {file.stem: Pool.about(file) for file in sorted(folder.glob("*.parquet"))}
        return {name: {**origin, "size": size} for name, (origin, size) in kept.items()}

    @classmethod
    def read(cls, file: Path) -> Pool:
        """The pool that `write` kept there; `StorageError` where the file is none."""
        try:
            table = pq.read_table(file)
            about = json.loads((table.schema.metadata or {})[_ORIGIN])
            return cls(about["name"], table.column("id").combine_chunks(), about["origin"])
        except (pa.ArrowInvalid, KeyError, ValueError) as error:
            fix = "give a file that a job with the hook `pools` wrote"
            raise StorageError(f"this is no pool: {error}", where=str(file), fix=fix) from error
