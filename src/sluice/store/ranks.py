"""Ranks a table's samples by a keep policy: which of several stays, wherever a step keeps some of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sluice.recipe.steps import parse_order
from sluice.store.groups import keep_order
from sluice.store.rules import layout_of
from sluice.store.table import Table


def ranked(table: Table, policy: str) -> NDArray[np.int64]:
    """A rank for every sample, 0 the most preferred: `random`, or fields with directions.

    Of several items' values the highest counts. Of equally preferred samples the one with the lower id comes
    first, wherever they stand in the source.
    """
    layout = layout_of(table)
    names = [name for name, _ in parse_order(policy)]
    picked = [f"{layout[name].aggregate('max')} AS f{k}" for k, name in enumerate(names)]
    rows = table.connect().sql(f"SELECT {', '.join(['id', *picked])} FROM samples").to_arrow_table()
    columns = {name: rows.column(f"f{k}") for k, name in enumerate(names)}
    return keep_order(columns, rows.column("id"), policy, source=np.zeros(len(rows), np.int64))
