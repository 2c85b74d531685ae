"""How much do two measures say the same: Pearson's and Spearman's correlations, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sluice.operator.extra import imported

Values = NDArray[np.float64]
By = Literal["fisher", "bootstrap"]

MOST = 1_000_000
"""Samples that correlations are computed on; of more, so many are drawn: their intervals are 0.002 wide."""
RESAMPLES = 999
BOOTSTRAP_MOST = 20_000
"""Beyond this many samples the bootstrap costs much, and tells what Fisher's z does."""
_AT_ONCE = 1 << 20

_FIELDS = ("pearson", "pearson_low", "pearson_high", "spearman", "spearman_low", "spearman_high")
CORRELATIONS = pa.schema(
    [
        pa.field("a", pa.string(), nullable=False),
        pa.field("b", pa.string(), nullable=False),
        pa.field("n", pa.int64()),
        *(pa.field(name, pa.float64()) for name in _FIELDS),
        pa.field("note", pa.string()),
    ]
)
"""Columns of a table of correlations, one row a pair of measures."""


@dataclass(frozen=True)
class Correlation:
    """Two measures over the `n` samples that have both; None, with a note, where there is no correlation to tell."""

    a: str
    b: str
    n: int
    pearson: float | None = None
    pearson_low: float | None = None
    pearson_high: float | None = None
    spearman: float | None = None
    spearman_low: float | None = None
    spearman_high: float | None = None
    note: str = ""


def correlations(
    columns: Mapping[str, Values],
    *,
    level: float = 0.95,
    by: By = "fisher",
    most: int = MOST,
    seed: int = 0,
) -> list[Correlation]:
    """Every pair of the columns (NaN: no value), in their order.

    Intervals at `level` are by Fisher's z, for Spearman with the standard error of Bonett and Wright (2000), or by
    999 seeded bootstrap resamples (percentiles), which assume no shape; beyond 20,000 samples always by z. Ties have
    the mean of their ranks. Of more than `most` samples so many are drawn, the same for all pairs. Memory beside the
    columns themselves is that of a few of them.
    """
    size = len(next(iter(columns.values()), ()))
    draw = np.random.default_rng(seed)
    some = np.sort(draw.choice(size, most, replace=False)) if size > most else slice(None)
    found = []
    for a, b in combinations(columns, 2):
        x, y = columns[a][some], columns[b][some]
        both = ~(np.isnan(x) | np.isnan(y))
        found.append(_pair(a, b, x[both], y[both], level, by, seed))
    return found


def correlation_table(found: Iterable[Correlation]) -> pa.Table:
    """The correlations as a table of `CORRELATIONS`."""
    rows = [{**asdict(each), "note": each.note or None} for each in found]
    return pa.Table.from_pylist(rows, schema=CORRELATIONS)


def _pair(a: str, b: str, x: Values, y: Values, level: float, by: By, seed: int) -> Correlation:
    n = len(x)
    flat = [name for name, values in ((a, x), (b, y)) if n and values.min() == values.max()]
    if n < 2 or flat:
        why = f"{flat[0]} is constant" if flat else f"{n} samples have both"
        return Correlation(a, b, n, note=why)
    pearson, spearman = float(_pearson(x, y)), float(_spearman(x, y))
    if n < 4:
        return Correlation(a, b, n, pearson, spearman=spearman, note=f"{n} samples have no interval")
    if by == "bootstrap" and n <= BOOTSTRAP_MOST:
        spans = [_resampled(how, x, y, level, seed) for how in (_pearson, _spearman)]
    else:
        errors = (1.0, math.sqrt(1 + spearman**2 / 2))
        spans = [_fisher(r, n, e, level) for r, e in zip((pearson, spearman), errors, strict=True)]
    return Correlation(a, b, n, pearson, *spans[0], spearman, *spans[1])


def _pearson(x: Values, y: Values) -> Any:
    """Along the last axis; NaN where either is constant."""
    # Scaled to 1 first, so that squares of large or tiny values neither overflow nor vanish.
    dx, dy = _scaled(x), _scaled(y)
    spread = np.sqrt((dx * dx).sum(-1) * (dy * dy).sum(-1))
    flat = spread == 0
    return np.where(flat, np.nan, np.clip((dx * dy).sum(-1) / np.where(flat, 1.0, spread), -1.0, 1.0))


def _scaled(values: Values) -> Values:
    apart = values - values.mean(-1, keepdims=True)
    greatest = np.abs(apart).max(-1, keepdims=True)
    scaled: Values = apart / np.where(greatest == 0, 1.0, greatest)
    return scaled


def _spearman(x: Values, y: Values) -> Any:
    rank = imported("scipy.stats", "sandbox").rankdata
    return _pearson(rank(x, axis=-1), rank(y, axis=-1))


def _fisher(r: float, n: int, error: float, level: float) -> tuple[float, float]:
    if abs(r) == 1:
        return r, r
    z = float(imported("scipy.special", "sandbox").ndtri((1 + level) / 2)) * error / math.sqrt(n - 3)
    return math.tanh(math.atanh(r) - z), math.tanh(math.atanh(r) + z)


def _resampled(
    how: Callable[[Values, Values], Any], x: Values, y: Values, level: float, seed: int
) -> tuple[float, float]:
    draw, n = np.random.default_rng(seed), len(x)
    at_once = max(1, _AT_ONCE // n)
    drawn = []
    for start in range(0, RESAMPLES, at_once):
        rows = draw.integers(0, n, (min(at_once, RESAMPLES - start), n))
        drawn.append(how(x[rows], y[rows]))
    low, high = np.nanquantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
