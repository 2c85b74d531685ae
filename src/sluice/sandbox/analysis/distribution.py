"""How one measure is distributed over the samples, and which samples lie far outside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Shares of the samples at which values are told."""
REACH = 3.0
"""Interquartile ranges beyond the quartiles at which a value is far out (Tukey 1977, the outer fences)."""

DISTRIBUTIONS = pa.schema(
    [
        pa.field("measure", pa.string(), nullable=False),
        pa.field("values", pa.int64()),
        pa.field("nulls", pa.int64()),
        *(pa.field(name, pa.float64()) for name in ("mean", "sd", "min")),
        *(pa.field(f"q{share * 100:02.0f}", pa.float64()) for share in QUANTILES),
        pa.field("max", pa.float64()),
        pa.field("low_fence", pa.float64()),
        pa.field("high_fence", pa.float64()),
        pa.field("below", pa.int64()),
        pa.field("above", pa.int64()),
        pa.field("note", pa.string()),
    ]
)
"""Columns of a table of distributions, one row a measure."""


@dataclass(frozen=True)
class Distribution:
    """One measure: `values` samples have one, `nulls` have none.

    `sd` is that of the sample (n - 1); `quantiles` are at `QUANTILES`, linear between values. `below` and `above`
    count the values beyond the fences, three interquartile ranges from the quartiles. What cannot be told is None,
    and `note` says why: no values, a constant, half of the values equal (no fences).
    """

    measure: str
    values: int
    nulls: int
    mean: float | None = None
    sd: float | None = None
    least: float | None = None
    greatest: float | None = None
    quantiles: tuple[float, ...] = ()
    low_fence: float | None = None
    high_fence: float | None = None
    below: int = 0
    above: int = 0
    note: str = ""

    def row(self) -> dict[str, Any]:
        """A row of `DISTRIBUTIONS`."""
        marks = {f"q{share * 100:02.0f}": v for share, v in zip(QUANTILES, self.quantiles, strict=False)}
        plain = ("measure", "values", "nulls", "mean", "sd", "low_fence", "high_fence", "below", "above")
        kept = {name: getattr(self, name) for name in plain}
        return {**kept, "min": self.least, "max": self.greatest, **marks, "note": self.note or None}


def distribution(measure: str, values: NDArray[np.float64]) -> Distribution:
    """The distribution of these values; NaN is none."""
    have = values[~np.isnan(values)]
    n, nulls = len(have), int(len(values) - len(have))
    if not n:
        return Distribution(measure, 0, nulls, note="no sample has a value")
    marks = tuple(float(mark) for mark in np.quantile(have, QUANTILES))
    sd = float(have.std(ddof=1)) if n > 1 else None
    ends = (float(have.min()), float(have.max()))
    found = Distribution(measure, n, nulls, float(have.mean()), sd, *ends, marks)
    low, high = _fences(marks)
    if ends[0] == ends[1]:
        return replace(found, note=f"all values are {ends[0]:g}")
    if low is None or high is None:
        return replace(found, note="half of the values are equal: no fences")
    below, above = int((have < low).sum()), int((have > high).sum())
    return replace(found, low_fence=low, high_fence=high, below=below, above=above)


def _fences(marks: tuple[float, ...]) -> tuple[float | None, float | None]:
    lower, upper = marks[QUANTILES.index(0.25)], marks[QUANTILES.index(0.75)]
    if lower == upper:
        return None, None
    return lower - REACH * (upper - lower), upper + REACH * (upper - lower)


def extremes(found: Distribution, values: NDArray[np.float64], most: int = 10) -> NDArray[np.int64]:
    """Positions of the samples that lie farthest beyond the fences, at most `most`, the farthest first."""
    if found.low_fence is None or found.high_fence is None:
        return np.empty(0, np.int64)
    beyond = np.fmax(found.low_fence - values, values - found.high_fence)
    outside = np.flatnonzero(beyond > 0)
    return outside[np.argsort(-beyond[outside], kind="stable")[:most]]
