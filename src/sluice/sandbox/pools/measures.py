"""What is known of the samples that pools are drawn from: their ids and measures, of a run or of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sluice.errors import UsageError
from sluice.recipe.nearest import did_you_mean
from sluice.sandbox.pools.tertiles import Tertiles, tertiles
from sluice.store.opened import Run
from sluice.store.rules import layout_of

Among = Literal["kept", "read"]
"""Which samples of a run: those that its rules keep, or all that could be read."""


@dataclass(frozen=True, eq=False)
class Measures:
    """Samples by id with a few measures each (NaN: no value); `run` is where their media can be had, if anywhere.

    A measure of several items of a sample is their mean; of a truth value 1 or 0.
    """

    ids: pa.Array
    values: Mapping[str, NDArray[np.float64]]
    run: str | None = None
    _thirds: dict[str, Tertiles] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def thirds(self, name: str) -> Tertiles:
        """The thirds of a measure, made once."""
        if name not in self._thirds:
            self._thirds[name] = tertiles(self.values[name])
        return self._thirds[name]


def measures_of_run(path: str, names: Iterable[str], among: Among = "kept") -> Measures:
    """Columns of a run's store, in source order. `UsageError` for one that it has not, or that is no number."""
    run = Run.open(path)
    places = layout_of(run.table)
    kinds = {"size_bytes": "number"} | {name: column.kind for name, column in run.table.columns.items()}
    kinds |= {name: "number" for name, kind in run.table.passthrough.items() if is_numeric(kind)}
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if kinds.get(name) not in ("number", "bool"):
            raise _no_measure(name, [n for n, kind in kinds.items() if kind in ("number", "bool")], path)
    columns = [f"CAST({_number(places[n], kinds[n])} AS DOUBLE) AS m{k}" for k, n in enumerate(wanted)]
    condition = "fates.fate = 'kept'" if among == "kept" else "fates.fate <> 'failed'"
    sql = (
        f"SELECT samples.id AS id{''.join(', ' + c for c in columns)} FROM samples JOIN fates USING (ordinal)"
    )
    found = run.query(f"{sql} WHERE {condition} ORDER BY ordinal")
    return Measures(_ids(found), {n: _values(found.column(f"m{k}")) for k, n in enumerate(wanted)}, path)


def measures_of_table(path: str, names: Iterable[str], run: str | None = None) -> Measures:
    """Columns of a Parquet table with an `id` (32 hexadecimal digits, as Sluice names samples), in its order."""
    wanted = list(dict.fromkeys(names))
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise UsageError(f"this is no Parquet table: {error}", where=path) from None
    if "id" not in schema.names:
        raise UsageError("the table has no column `id`", where=path, fix="add the ids of the samples")
    numeric = [f.name for f in schema if is_numeric(str(f.type)) or str(f.type) == "bool"]
    for name in wanted:
        if name not in numeric:
            raise _no_measure(name, numeric, path)
    found = pq.read_table(path, columns=["id", *wanted])
    return Measures(_ids(found), {name: _values(found.column(name)) for name in wanted}, run)


def is_numeric(kind: str) -> bool:
    """Whether an Arrow type of that name holds numbers."""
    return kind in ("float", "double", "halffloat") or kind.removeprefix("u").startswith("int")


def _number(place: Any, kind: str) -> str:
    """SQL of a sample's value: the mean over its items, of truth values the share."""
    if place.is_list and kind == "bool":
        return f"list_avg([x::INT FOR x IN {place.sql}])"
    return str(place.aggregate("mean"))


def _ids(found: pa.Table) -> pa.Array:
    ids = found.column("id").cast(pa.string())
    return ids.combine_chunks() if ids.num_chunks != 1 else ids.chunk(0)


def _values(column: pa.ChunkedArray) -> NDArray[np.float64]:
    plain = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    values: NDArray[np.float64] = plain.cast(pa.float64(), safe=False).to_numpy().copy()
    values[~np.isfinite(values)] = np.nan
    return values


def _no_measure(name: str, known: Iterable[str], where: str) -> UsageError:
    return UsageError(
        f"{name!r} is no measure here that is a number",
        where=where,
        fix=did_you_mean(name, known, "measures"),
    )
