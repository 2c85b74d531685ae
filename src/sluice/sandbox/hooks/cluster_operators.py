"""Which operators say the same, and which is the best of each kind?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from sluice.errors import UsageError
from sluice.sandbox.analysis import cluster
from sluice.sandbox.analysis import correlations as correlate
from sluice.sandbox.analysis.clustering import CUT, Distance, Linkage
from sluice.sandbox.hooks.rank_operators import chosen_metric
from sluice.sandbox.operators import best_of_each, conditions_of, operators
from sluice.sandbox.registry import hook
from sluice.sandbox.statistics import Comparison
from sluice.sandbox.workflow.job import Job


@hook(gives=("clusters",))
def cluster_operators(
    job: Job,
    comparison: Sequence[Mapping[str, Any]],
    correlations: pa.Table | None = None,
    *,
    metric: str | None = None,
    distance: Distance = "1 - |r|",
    linkage: Linkage = "average",
    count: Annotated[int, Field(ge=1)] | None = None,
    cut: Annotated[float, Field(gt=0)] = CUT,
    sure: bool = True,
) -> dict[str, Any]:
    """Cluster operators hierarchically, and choose the best third of each cluster.

    They are as alike as Pearson's correlation of their measures says (the `correlations` of `analyze_data`), or, where
    none are given, that of their thirds' gains in all metrics compared, each metric by its own spread. Gives at most
    `count` clusters, or those at the distance `cut`; `distance` and `linkage` are told with the result. `metric` and
    `sure` are as in `rank_operators`.
    """
    found = [Comparison.from_row(row) for row in comparison]
    metric = chosen_metric(found, metric)
    ranked = operators(found, metric)
    names = [o.measure for o in ranked]
    if correlations is not None:
        r = {(row["a"], row["b"]): row["pearson"] for row in correlations.to_pylist()}
        unknown = [name for name in names if not any(name in pair for pair in r)]
        if unknown and len(names) > 1:
            raise UsageError(
                f"no correlation of {unknown[0]!r} is known", fix="add it to the `measures` of analyze_data"
            )
    else:
        r = _by_gains(found, names)
    made = cluster(names, r, distance=distance, linkage=linkage, count=count, cut=cut)
    chosen = [c.arm for c in best_of_each(ranked, made.clusters, sure=sure)]
    job.say(f"{len(made.clusters)} clusters of {len(names)} operators; chosen: {', '.join(chosen) or 'none'}")
    of = "measures" if correlations is not None else "gains"
    return {"clusters": {**asdict(made), "metric": metric, "of": of, "chosen": chosen}}


def _by_gains(found: Sequence[Comparison], names: Sequence[str]) -> dict[tuple[str, str], float | None]:
    """Correlations of the operators' gains, over their thirds and all metrics."""
    rows = list(dict.fromkeys((part, c.metric) for c in found for _, part in conditions_of(c.arm)[:1]))
    gains = {(c.arm, c.metric): c.gain for c in found}
    spread = {metric: _spread([g for (_, m), g in gains.items() if m == metric]) for _, metric in rows}
    columns: dict[str, NDArray[np.float64]] = {
        name: np.array([_or_nan(gains.get((f"{name}-{part}", m))) / spread[m] for part, m in rows])
        for name in names
    }
    return {(c.a, c.b): c.pearson for c in correlate(columns)}


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _spread(gains: Sequence[float | None]) -> float:
    known = np.array([g for g in gains if g is not None])
    return float(known.std()) or 1.0 if len(known) else 1.0
