"""What endpoints were paid for a run's samples: the sums of the columns in which remote operators count it."""

from __future__ import annotations

from sluice.plan import Plan
from sluice.store import Table

COUNTED = ("USD", "tokens")
"""Units of the columns that are summed up."""


def spent(plan: Plan, table: Table) -> dict[str, float]:
    """The sum of each such column over all samples, whichever run paid for them; empty where nothing was asked.

    A column that holds no number has none: an endpoint that does not count its tokens is not free.
    """
    names = [
        output.name
        for instance in plan.instances
        if instance.spec.cost == "remote"
        for output in instance.outputs
        if output.field.unit in COUNTED and output.name in table.columns
    ]
    if not names:
        return {}
    sums = ", ".join(f"sum({_of_sample(table, name)})" for name in names)
    (row,) = table.connect().sql(f"SELECT {sums} FROM samples").fetchall()
    return {name: value for name, value in zip(names, row, strict=True) if value is not None}


def _of_sample(table: Table, name: str) -> str:
    return f'list_sum("{name}")' if table.columns[name].layout == "list" else f'"{name}"'
