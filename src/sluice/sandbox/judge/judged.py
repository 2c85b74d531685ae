"""What judges say of samples, and what that makes of pools."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.sandbox.pools import Pool

SAMPLES = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("reason", pa.string()),
    ]
)
"""Columns of what judges say of each sample: no value has a reason."""

POOLS = pa.schema(
    [
        pa.field("arm", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("mean", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("samples", pa.int64(), nullable=False),
        pa.field("missing", pa.int64(), nullable=False),
    ]
)
"""Columns of what that makes of a pool: the mean of its `samples` with a 95 % interval; `missing` have no value."""

_Z = 1.959964  # 97.5 % of the normal distribution


@dataclass(frozen=True, slots=True)
class Judgement:
    """One judge's word on one sample; `value` is None where it has none, for a `reason`."""

    id: str
    metric: str
    value: float | None
    reason: str = ""


def sample_table(judgements: Iterable[Judgement]) -> pa.Table:
    """As a table of `SAMPLES`."""
    rows = [
        {"id": j.id, "metric": j.metric, "value": j.value, "reason": j.reason or None} for j in judgements
    ]
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def pool_table(samples: pa.Table, pools: Mapping[str, Pool]) -> pa.Table:
    """The mean of every metric over every pool, a repeated sample counted as often as it is in the pool.

    The interval is the normal one of a mean, over different samples: repetition adds no certainty. It is null for
    fewer than two. Samples of a pool that nobody was asked about count neither as samples nor as missing.
    """
    return pa.Table.from_pylist(list(_rows(samples, pools)), schema=POOLS)


def _rows(samples: pa.Table, pools: Mapping[str, Pool]) -> Iterator[dict[str, object]]:
    for metric in pc.unique(samples.column("metric")).to_pylist():
        of = samples.filter(pc.equal(samples.column("metric"), metric))
        ids = of.column("id").combine_chunks()
        values = of.column("value").to_numpy().astype(np.float64)
        for arm, pool in pools.items():
            at = pc.index_in(pool.ids.cast(pa.string()), ids).drop_null().to_numpy()
            places, times = np.unique(at, return_counts=True)
            had = ~np.isnan(values[places])
            found, weights = values[places][had], times[had]
            row: dict[str, object] = {"arm": arm, "metric": metric, "samples": int(weights.sum())}
            row["missing"] = int(times[~had].sum())
            if len(found):
                row["mean"] = float(np.average(found, weights=weights))
            if len(found) > 1:
                share = weights / weights.sum()
                half = _Z * float(found.std(ddof=1)) * math.sqrt(float((share**2).sum()))
                row |= {"low": float(np.average(found, weights=weights)) - half}
                row |= {"high": float(np.average(found, weights=weights)) + half}
            yield row
