"""What are the samples like?"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from sluice.errors import UsageError
from sluice.sandbox.analysis import (
    DISTRIBUTIONS,
    correlation_table,
    correlations,
    distribution,
    extremes,
)
from sluice.sandbox.analysis.correlation import By
from sluice.sandbox.pools.measures import Among, Measures, measures_of_run, measures_of_table
from sluice.sandbox.registry import hook
from sluice.sandbox.workflow.job import Job

OUTLIERS = pa.schema(
    [
        pa.field("measure", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)
"""Columns of the table of outliers: the samples farthest out in each measure, the farthest first."""


@hook(gives=("analysis", "correlations", "outliers"))
def analyze_data(
    job: Job,
    *,
    measures: tuple[str, ...],
    run: str | None = None,
    table: str | None = None,
    among: Among = "read",
    intervals: By = "fisher",
    seed: int = 0,
) -> dict[str, Any]:
    """Tell how measures are distributed over the samples of a run or of a Parquet table, and how they correlate.

    `analysis` has one row a measure: how many samples have a value and how many none, mean, standard deviation (of the
    sample), least, greatest, quantiles (linear between values), and how many lie beyond Tukey's outer fences;
    `outliers` are the ten farthest out of each. `correlations` has one row a pair: Pearson's and Spearman's, with 95 %
    intervals by Fisher's z or by `intervals: bootstrap` (seeded).
    """
    if (run is None) == (table is None):
        raise UsageError("there is nothing to look at", fix="give either `run: PATH` or `table: FILE`")
    found = measures_of_run(run, measures, among) if run else measures_of_table(str(table), measures)
    job.say(f"{len(found):,} samples, {len(measures)} measures")
    described = [distribution(name, values) for name, values in found.values.items()]
    far = [
        row
        for each in described
        for row in _farthest(found, each.measure, extremes(each, found.values[each.measure]))
    ]
    return {
        "analysis": pa.Table.from_pylist([each.row() for each in described], schema=DISTRIBUTIONS),
        "correlations": correlation_table(correlations(found.values, by=intervals, seed=seed)),
        "outliers": pa.Table.from_pylist(far, schema=OUTLIERS),
    }


def _farthest(found: Measures, measure: str, positions: Any) -> list[dict[str, Any]]:
    ids = found.ids.take(pa.array(positions)).to_pylist()
    values = found.values[measure][positions].tolist()
    return [{"measure": measure, "id": id_, "value": v} for id_, v in zip(ids, values, strict=True)]
