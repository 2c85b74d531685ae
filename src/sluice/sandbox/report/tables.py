"""The tables of a report, as Arrow has them: what the page shows, for other programs."""

from __future__ import annotations

from dataclasses import asdict

import pyarrow as pa

from sluice.sandbox.analysis import CORRELATIONS, DISTRIBUTIONS
from sluice.sandbox.experiment import MODELS, score_table
from sluice.sandbox.operators import operators
from sluice.sandbox.report.found import Found
from sluice.sandbox.statistics import Comparison

_NUMBERS = ("mean", "sd", "change", "low", "high", "effect_size", "p", "p_adjusted")
COMPARISONS = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("arm", "metric", "better", "verdict")),
        pa.field("pairs", pa.int64(), nullable=False),
        *(pa.field(name, pa.float64()) for name in _NUMBERS),
        pa.field("why", pa.string()),
        pa.field("unpaired", pa.list_(pa.struct([("seed", pa.int64()), ("reason", pa.string())]))),
    ]
)
"""Columns of `comparisons.parquet`: one row for each arm and metric."""
OPERATORS = pa.schema(
    [
        pa.field("metric", pa.string(), nullable=False),
        pa.field("operator", pa.string(), nullable=False),
        pa.field("rank", pa.int64()),
        pa.field("best", pa.string()),
        pa.field("gain", pa.float64()),
        pa.field("verdict", pa.string()),
    ]
)
"""Columns of `operators.parquet`: a rank only where a third is better than the control."""
NOISE = pa.schema(
    [
        pa.field("metric", pa.string(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
        *(pa.field(name, pa.float64()) for name in ("mean", "sd", "difference_sd", "detectable")),
        pa.field("again", pa.string()),
    ]
)
"""Columns of `noise.parquet`: one row a metric."""


def tables(found: Found) -> dict[str, pa.Table]:
    """The tables by name, each of the same columns and types whatever was found; those without a row are left out."""
    made = {
        "comparisons": pa.Table.from_pylist([_row(c) for c in found.comparisons], schema=COMPARISONS),
        "operators": pa.Table.from_pylist(_ranks(found), schema=OPERATORS),
        "scores": score_table(found.scores),
        "noise": pa.Table.from_pylist([asdict(n) for n in found.noise], schema=NOISE),
        "models": pa.Table.from_pylist(list(map(dict, found.models)), schema=MODELS),
        "distributions": pa.Table.from_pylist(list(map(dict, found.analysis)), schema=DISTRIBUTIONS),
        "correlations": pa.Table.from_pylist(list(map(dict, found.correlations)), schema=CORRELATIONS),
    }
    return {name: table for name, table in made.items() if len(table)}


def _row(of: Comparison) -> dict[str, object]:
    told = of.row()
    return {**{name: told.get(name) for name in COMPARISONS.names}, "pairs": of.n, "why": of.why or None}


def _ranks(found: Found) -> list[dict[str, object]]:
    return [
        {
            "metric": metric,
            "operator": o.measure,
            "rank": o.rank,
            "best": o.best and o.best.arm,
            "gain": o.best and o.best.gain,
            "verdict": o.best.verdict if o.best else "no verdict",
        }
        for metric in found.metrics
        for o in operators(found.comparisons, metric)
    ]
