"""Near pairs of a table's samples: found once for a column and threshold, kept in the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from sluice.errors import PlanError
from sluice.operator import Instance, Registry
from sluice.ops.dedup.pairs import Pairs
from sluice.recipe.steps import Dedup
from sluice.storage import Location
from sluice.store.table import Table

_BY = {"text": "hash", "number": "hash", "bool": "hash", "bits": "bits", "vector": "vector"}


def deduplicator_for(step: Dedup, kind: str, registry: Registry) -> Instance:
    """The deduplicator of a step: by what its column holds and which threshold it gives.

    Without a threshold values must be equal. Raises PlanError where the threshold does not fit the column.
    """
    settings = {
        k: v for k, v in (("distance", step.distance), ("similarity", step.similarity)) if v is not None
    }
    by = _BY[kind] if settings else "hash"
    for spec in registry:
        if spec.kind == "deduplicator" and spec.by == by and set(spec.settings.model_fields) == set(settings):
            return registry.bind(spec.name, settings)
    fits = {"bits": "`distance:` (bits)", "vector": "`similarity:` (cosine)"}.get(kind, "no threshold")
    given = " and ".join(f"`{name}`" for name in settings)
    raise PlanError(
        f"`dedup` by {step.by!r} cannot use {given}", where=str(step.at), fix=f"{step.by!r} takes {fits}"
    )


@dataclass(frozen=True)
class Compared:
    """Near pairs of ordinals, and which samples were compared to find them."""

    pairs: Pairs
    samples: NDArray[np.bool_]


def near_pairs(
    table: Table,
    step: Dedup,
    instance: Instance,
    alive: NDArray[np.bool_],
    store: Location,
    *,
    compute: bool = True,
) -> Compared:
    """Pairs of ordinals among the samples alive.

    A stored comparison serves every later selection whose samples it compared; with `compute=False` (a
    what-if) the largest one is taken even where it lacks some, which the caller counts.
    """
    mark = table.columns[step.by].mark if step.by in table.columns else step.by
    what = xxhash.xxh3_128_hexdigest(f"{table.units_digest}:{mark}:{instance.fingerprint}".encode())
    folder = store / "pairs" / what
    found = _stored(folder, alive, partly=not compute)
    if found is not None:
        return found
    ordinals, values = _values(table, step, alive)
    found_pairs = instance.spec.target(values, **instance.settings)
    pairs = replace(found_pairs, a=ordinals[found_pairs.a], b=ordinals[found_pairs.b])
    name = xxhash.xxh3_64_hexdigest(np.packbits(alive).tobytes())
    (folder / f"{name}.compared").write(np.packbits(alive).tobytes())
    _write(folder / f"{name}.parquet", pairs)
    return Compared(pairs, alive.copy())


def _stored(folder: Location, alive: NDArray[np.bool_], partly: bool) -> Compared | None:
    """A stored comparison of all samples alive (the smallest), or with `partly` of as many as possible."""
    best: tuple[tuple[int, int], str, NDArray[np.bool_]] | None = None
    names = [e.path for e in folder.list() if e.path.endswith(".parquet")] if folder.exists() else []
    for name in names:
        bits = np.frombuffer((folder / name.replace(".parquet", ".compared")).read(), np.uint8)
        compared = np.unpackbits(bits, count=len(alive)).astype(bool)
        lacking = int((alive & ~compared).sum())
        rank = (lacking, int(compared.sum()))
        if (partly or lacking == 0) and (best is None or rank < best[0]):
            best = (rank, name, compared)
    return Compared(_read(folder / best[1]), best[2]) if best is not None else None


def _values(table: Table, step: Dedup, alive: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Any]:
    """The column's non-null entries among the samples alive, with their ordinals."""
    column = table.columns.get(step.by)
    if column is not None and column.modality and table.max_items.get(column.modality, 0) > 1:
        raise PlanError(
            f"samples have up to {table.max_items[column.modality]} {column.modality} items each; `dedup` by "
            f"{step.by!r} compares samples with one",
            where=str(step.at),
            fix="deduplicate by a sample-level column",
        )
    if column is not None and column.kind == "vector":
        ordinals, _, vectors = table.vectors(step.by)
        chosen = alive[ordinals]
        return ordinals[chosen], vectors[chosen]
    pieces = [pq.read_table(path, columns=[step.by]).column(0) for path in table.paths()]
    values = pa.chunked_array([c for piece in pieces for c in piece.chunks])
    ordinals = np.flatnonzero(alive & values.is_valid().to_numpy())
    return ordinals, values.take(pa.array(ordinals)).combine_chunks()


def _write(place: Location, pairs: Pairs) -> None:
    info = json.dumps({"kind": pairs.kind, "unmatched": pairs.unmatched}).encode()
    columns = {"a": pairs.a, "b": pairs.b, "score": pairs.score, "identical": pairs.identical}
    table = pa.table(columns).replace_schema_metadata({b"sluice.pairs": info})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    place.write(sink.getvalue().to_pybytes())


def _read(place: Location) -> Pairs:
    table = pq.read_table(pa.BufferReader(place.read()))
    info: Mapping[str, Any] = json.loads(table.schema.metadata[b"sluice.pairs"])
    a, b, score = (table.column(name).to_numpy() for name in ("a", "b", "score"))
    identical = table.column("identical").to_numpy(zero_copy_only=False)
    return Pairs(info["kind"], a, b, score, identical, info["unmatched"])
