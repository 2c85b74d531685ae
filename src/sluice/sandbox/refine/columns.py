"""The measured columns of a run, a row a sample, as thresholds are chosen by them."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from sluice.sandbox.pools.measures import is_numeric
from sluice.store.opened import Run
from sluice.store.rules import layout_of


def columns_of_run(run: Run, names: Iterable[str]) -> pa.Table:
    """The numeric columns of these names, of every sample that could be read.

    A measure of items is a list a sample. Names that the run has no such column for are left out.
    """
    numeric = {name for name, column in run.table.columns.items() if column.kind == "number"}
    numeric |= {name for name, kind in run.table.passthrough.items() if is_numeric(kind)}
    places = layout_of(run.table)
    chosen = [name for name in dict.fromkeys(names) if name in numeric and name in places]
    columns = ", ".join(f"{places[name].sql} AS c{k}" for k, name in enumerate(chosen))
    sql = (
        f"SELECT {columns or 'ordinal'} FROM samples JOIN fates USING (ordinal) WHERE fates.fate <> 'failed'"
    )
    found = run.query(f"{sql} ORDER BY ordinal")
    return found.rename_columns(chosen) if chosen else found.select([])
