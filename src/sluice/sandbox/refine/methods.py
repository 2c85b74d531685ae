"""Ways to choose thresholds by the distribution of measures: each gives the lowest and highest value to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sluice.errors import UsageError
from sluice.sandbox.refine.measured import Measured

Side = Literal["both", "low", "high"]
"""Which thresholds a measure has: the lowest value to keep, the highest, or both."""

Span = tuple[float, float]


def k_sigma(measured: Measured, k: float) -> Span:
    """Mean - k·σ to mean + k·σ, σ with n - 1 in it (Data-Juicer Sandbox, `refine_recipe_k_sigma`)."""
    values = measured.values
    sigma = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    mean = float(values.mean())
    return mean - k * sigma, mean + k * sigma


def percentiles(measured: Measured, low: float, high: float) -> Span:
    """The values at two shares of the distribution, in [0, 1], linearly between neighbours."""
    found = np.quantile(measured.values, [low, high])
    return float(found[0]), float(found[1])


def target_yield(measures: Sequence[Measured], sides: Mapping[str, Side], share: float) -> dict[str, Span]:
    """Thresholds of all measures that together keep `share` of the samples, or the least above it.

    The samples kept are those that lie deepest in their distributions: a sample is as deep as its rank from the
    nearer end, in the measure where that is least (half-space depth, Tukey 1975, along the axes). So every measure
    gives up an equal share at each of its ends. Raises `UsageError` where fewer samples have all values.
    """
    have = np.logical_and.reduce([~np.isnan(m.least) for m in measures])
    wanted = int(np.ceil(share * len(have) - 1e-9))
    if have.sum() < wanted:
        raise UsageError(
            f"{share:.1%} of the samples cannot be kept: only {have.mean():.1%} have all of these measures",
            fix="lower the target, or leave out the measures that are often missing",
        )
    within = [m.take(have) for m in measures]
    depth = np.minimum.reduce([_depth(m, sides.get(m.name, "both")) for m in within])
    least = np.partition(depth, len(depth) - wanted)[len(depth) - wanted] if wanted else np.inf
    deep = depth >= least
    if not deep.any():
        raise UsageError("a target of no samples has no thresholds", fix="give a share above 0")
    return {m.name: (float(m.least[deep].min()), float(m.greatest[deep].max())) for m in within}


def _depth(measured: Measured, side: Side) -> NDArray[np.float64]:
    """How many samples lie at or beyond each, counted from the nearer of the ends that a threshold cuts."""
    ends = []
    if side != "high":
        ends.append(np.searchsorted(np.sort(measured.least), measured.least, "right"))
    if side != "low":
        ordered = np.sort(measured.greatest)
        ends.append(len(ordered) - np.searchsorted(ordered, measured.greatest, "left"))
    depth: NDArray[np.float64] = np.minimum.reduce(ends).astype(np.float64)
    return depth
