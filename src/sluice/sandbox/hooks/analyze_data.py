"""What are the samples like?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from sluice.errors import UsageError
from sluice.sandbox.pools.measures import Among, measures_of_run, measures_of_table
from sluice.sandbox.registry import hook
from sluice.sandbox.workflow.job import Job

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Shares of the samples at which values are told."""


@hook(gives=("analysis",))
def analyze_data(
    job: Job,
    *,
    measures: tuple[str, ...],
    run: str | None = None,
    table: str | None = None,
    among: Among = "read",
) -> dict[str, Any]:
    """Tell how each measure is distributed over the samples of a run or of a Parquet table of ids and measures.

    Gives a table, one row a measure: how many samples have a value and how many none, mean, standard deviation (of the
    sample), least, greatest, and quantiles (linear between values, as NumPy has them).
    """
    if (run is None) == (table is None):
        raise UsageError("there is nothing to look at", fix="give either `run: PATH` or `table: FILE`")
    found = measures_of_run(run, measures, among) if run else measures_of_table(str(table), measures)
    job.say(f"{len(found):,} samples, {len(measures)} measures")
    return {
        "analysis": pa.Table.from_pylist([_row(n, found.values[n]) for n in found.values], schema=_SCHEMA)
    }


_SCHEMA = pa.schema(
    [
        pa.field("measure", pa.string(), nullable=False),
        pa.field("values", pa.int64()),
        pa.field("nulls", pa.int64()),
        *(pa.field(name, pa.float64()) for name in ("mean", "sd", "min")),
        *(pa.field(f"q{share * 100:02.0f}", pa.float64()) for share in QUANTILES),
        pa.field("max", pa.float64()),
    ]
)


def _row(name: str, values: Any) -> dict[str, Any]:
    have = values[~np.isnan(values)]
    row: dict[str, Any] = {"measure": name, "values": len(have), "nulls": len(values) - len(have)}
    if not len(have):
        return row
    row |= {"mean": have.mean(), "min": have.min(), "max": have.max()}
    row["sd"] = have.std(ddof=1) if len(have) > 1 else None
    marks = np.quantile(have, QUANTILES)
    return row | {f"q{share * 100:02.0f}": mark for share, mark in zip(QUANTILES, marks, strict=True)}
