"""Near pairs of a column's values: found once, kept in the store, and good for many thresholds and survivors."""

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

from sluice.errors import MissingError
from sluice.operator import Instance
from sluice.operator.instance import library_version
from sluice.ops.dedup.cosine import centroid_cosines
from sluice.ops.dedup.pairs import Pairs
from sluice.storage import Location
from sluice.store.entries import Entries, Mask

STOCK = 0.05
"""How far below `similarity` near pairs of vectors are stored unless `floor` says, so that other thresholds need no
new comparison."""

THRESHOLDS = ("distance", "similarity")
_ELSEWHERE = frozenset({*THRESHOLDS, "floor", "device"})
# Settings of which the pairs of one comparison may serve others: those by which pairs are cut, and the device,
# which changes no pair.


@dataclass(frozen=True)
class Compared:
    """Near pairs of entries, cut at the threshold, which entries were compared to find them, and where they lie."""

    pairs: Pairs
    entries: Mask
    folder: Location


def near_pairs(
    entries: Entries, part: Mask, instance: Instance, store: Location, *, compute: bool = True
) -> Compared:
    """The pairs among the entries of `part`, within the threshold of the deduplicator's settings.

    A stored comparison of all of them serves if it gives the very pairs that a new one would. With
    `compute=False` (a what-if) any serves that goes down to the threshold, the one that lacks least first;
    the caller counts what it lacks. MissingError where there is none.
    """
    folder = store / "pairs" / _key(entries, instance)
    threshold = next((instance.settings[n] for n in THRESHOLDS if n in instance.settings), None)
    name = _name(part, instance)
    found = _stored(folder, name, part, threshold, partly=not compute)
    if found is None and not compute:
        raise MissingError(
            f"no stored comparison of {entries.column!r} goes down to {threshold}",
            where=folder.url,
            fix="compare anew: give --write, or run the recipe with that threshold",
        )
    if found is None:
        found = _compare(entries, part, instance, folder, name)
    pairs = found.pairs if threshold is None else found.pairs.within(threshold)
    return replace(found, pairs=pairs)


def centroid_cosines_of(
    entries: Entries, part: Mask, found: Compared, instance: Instance
) -> NDArray[np.float32]:
    """[m] the cosine of each entry of `part` with its cluster's centroid, NaN for others; kept with the pairs.

    The clusters are those of `part` alone: the comparison that serves may be of more.
    """
    parts = Parts(found.folder)
    name = f"{xxhash.xxh3_64_hexdigest(np.packbits(part).tobytes())}.centroids"
    known = parts.load(name)
    if known is None:
        chosen = np.flatnonzero(part)
        settings = {n: instance.settings[n] for n in ("clusters", "seed", "device")}
        values = entries.values(chosen, _scratch(found.folder))
        known = {"entry": chosen, "cosine": centroid_cosines(values, **settings)}, {}
        parts.save(name, *known)
    columns, _ = known
    cosines = np.full(len(entries), np.nan, np.float32)
    cosines[columns["entry"]] = columns["cosine"]
    return cosines


def _key(entries: Entries, instance: Instance) -> str:
    """What is compared, and how, thresholds left out: 32 hexadecimal digits."""
    stored = entries.table.columns
    spec = instance.spec
    parts = {
        "units": entries.table.units_digest,
        "column": stored[entries.column].mark if entries.column in stored else entries.column,
        "deduplicator": (spec.name, spec.version, spec.source_hash),
        "settings": {n: v for n, v in instance.settings.items() if n not in _ELSEWHERE},
        "libraries": {library: library_version(library) for library in spec.libraries},
    }
    return xxhash.xxh3_128_hexdigest(json.dumps(parts, sort_keys=True, default=str).encode())


def _name(part: Mask, instance: Instance) -> str:
    """Which entries, down to which threshold."""
    cut = {n: v for n, v in sorted(instance.settings.items()) if n in _ELSEWHERE and n != "device"}
    return xxhash.xxh3_64_hexdigest(np.packbits(part).tobytes() + json.dumps(cut).encode())


def _compare(entries: Entries, part: Mask, instance: Instance, folder: Location, name: str) -> Compared:
    spec, chosen = instance.spec, np.flatnonzero(part)
    (folder / name).make_dirs()
    values = entries.values(chosen, _scratch(folder))
    resumed = [Parts(folder / name)] if any(need.name == "checkpoints" for need in spec.needs) else []
    settings = dict(instance.settings)
    if settings.get("floor", 0.0) is None:
        settings["floor"] = max(settings["similarity"] - STOCK, -1.0)
    found: Pairs = spec.target(values, *resumed, **settings)
    pairs = replace(found, a=chosen[found.a], b=chosen[found.b])
    columns: Any = {"a": pairs.a, "b": pairs.b, "score": pairs.score, "identical": pairs.identical}
    Parts(folder).save(name, columns, {})
    (folder / f"{name}.compared").write(np.packbits(part).tobytes())
    threshold = next((instance.settings[n] for n in THRESHOLDS if n in instance.settings), None)
    about: dict[str, Any] = {
        "kind": pairs.kind,
        "unmatched": pairs.unmatched,
        "threshold": threshold,
        "bound": threshold if pairs.bound is None else pairs.bound,
        "complete": pairs.complete,
        "facts": dict(pairs.facts),
    }
    (folder / f"{name}.json").write(json.dumps(about, indent=1).encode())  # last: now it is whole
    (folder / name).delete_tree()
    return Compared(replace(pairs, bound=about["bound"]), part.copy(), folder)


def _scratch(folder: Location) -> Any:
    """Where a large unnamed file may lie: beside the store, as the system's own place is often memory."""
    return folder.path if folder.is_local else None


def _stored(
    folder: Location, name: str, part: Mask, threshold: float | None, partly: bool
) -> Compared | None:
    """The stored comparison that serves and, of several, lacks least and holds least beside."""
    best: tuple[tuple[int, int, str], dict[str, Any], Mask] | None = None
    for entry in folder.list(recursive=False):
        if not entry.path.endswith(".json"):
            continue
        stem = entry.path.removesuffix(".json")
        about = json.loads((folder / entry.path).read())
        bits = np.frombuffer((folder / f"{stem}.compared").read(), np.uint8)
        compared = np.unpackbits(bits, count=len(part)).astype(bool)
        lacking = int((part & ~compared).sum())
        rank = (lacking, int(compared.sum()), "" if stem == name else stem)
        served = _reaches(about, threshold) if partly else stem == name or _is_as_new(about, threshold)
        if served and (partly or lacking == 0) and (best is None or rank < best[0]):
            best = (rank, {**about, "stem": stem}, compared)
    if best is None:
        return None
    _, about, compared = best
    return Compared(_read(folder, about), compared, folder)


def _reaches(about: Mapping[str, Any], threshold: float | None) -> bool:
    """Whether all pairs within the threshold were looked for."""
    if threshold is None or about["threshold"] == threshold:
        return True
    farther: bool = about["bound"] >= threshold if about["kind"] == "hamming" else about["bound"] <= threshold
    return farther


def _is_as_new(about: Mapping[str, Any], threshold: float | None) -> bool:
    """Whether a new comparison would find the same: results must not depend on what was asked before."""
    same = about["kind"] != "jaccard" or about["threshold"] == threshold  # its bands follow the threshold
    return bool(about["complete"]) and same and _reaches(about, threshold)


def _read(folder: Location, about: Mapping[str, Any]) -> Pairs:
    known = Parts(folder).load(about["stem"])
    assert known is not None
    columns: Any = known[0]
    return Pairs(
        about["kind"], **columns, **{n: about[n] for n in ("unmatched", "bound", "complete", "facts")}
    )


class Parts:
    """Parts of a comparison in a folder of the store, one Parquet file each (see `sluice.ops.dedup.checkpoints`)."""

    def __init__(self, folder: Location) -> None:
        self._folder = folder

    def load(self, name: str) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]] | None:
        """The part's columns and facts; None where there is no such file."""
        place = self._folder / f"{name}.parquet"
        if place.stat() is None:
            return None
        table = pq.read_table(pa.BufferReader(place.read()))
        facts: Mapping[str, Any] = json.loads(table.schema.metadata[b"sluice.part"])
        return {n: _array(table.column(n).combine_chunks()) for n in table.column_names}, facts

    def save(self, name: str, columns: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Write the part, whole or not at all."""
        table = pa.table({n: _arrow(values) for n, values in columns.items()})
        sink = pa.BufferOutputStream()
        described = table.replace_schema_metadata({b"sluice.part": json.dumps(dict(facts)).encode()})
        pq.write_table(described, sink, compression="zstd")
        (self._folder / f"{name}.parquet").write(sink.getvalue().to_pybytes())


def _arrow(values: NDArray[Any]) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _array(column: pa.Array) -> NDArray[Any]:
    if pa.types.is_fixed_size_list(column.type):
        flat: NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(column), column.type.list_size)
    found: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return found
