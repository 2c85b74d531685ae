"""How sure is one paired difference: p-values and intervals by Student's t, by sign flips, by bootstrap."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sluice.errors import UsageError
from sluice.operator.extra import imported

Test = Literal["t", "permutation"]
Interval = Literal["t", "bootstrap"]
Values = NDArray[np.float64]

EXACT_UP_TO = 14
"""Pairs up to which all 2^n sign flips are tried; more are sampled `FLIPS` times."""
FLIPS = 19_999
RESAMPLES = 9_999


def stats() -> Any:
    """SciPy's statistics, which come with the extra `sandbox`."""
    return imported("scipy.stats", "sandbox")


def special() -> Any:
    """SciPy's distribution functions: those of `stats` without its checks, which take a hundred times as long."""
    return imported("scipy.special", "sandbox")


def p_value(differences: Values, test: Test, seed: int) -> float:
    """Two-sided p-value of the differences (at least 2, not all equal) having mean 0."""
    if test == "permutation":
        return flipped_p_value(differences, seed)
    return _t_p_value(float(differences.mean()), float(differences.std(ddof=1)), len(differences))


def t_limit(p: float, freedom: int) -> float:
    """The t that so many degrees of freedom exceed with probability `p`."""
    return -float(special().stdtrit(freedom, p))


def _t_p_value(mean: float, sd: float, n: int) -> float:
    return 2 * float(special().stdtr(n - 1, -abs(mean) / (sd / math.sqrt(n))))


def flipped_p_value(differences: Values, seed: int) -> float:
    """The share of sign flips whose mean is at least as far from 0 (Fisher's paired permutation test).

    Exact up to 14 pairs; beyond, 19,999 flips are drawn with the seed, and the p-value counts the observed one too,
    so that it is never 0 (Phipson and Smyth 2010). With n pairs it is never below 2 / 2^n.
    """
    if not differences.any():
        return 1.0
    found = stats().permutation_test(
        (differences,),
        lambda sample, axis: sample.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=math.inf if len(differences) <= EXACT_UP_TO else FLIPS,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def interval(differences: Values, how: Interval, level: float, seed: int) -> tuple[float, float]:
    """Confidence interval of the mean difference (at least 2, not all equal), at `level` (0.95: 95 %).

    `t` is Student's; `bootstrap` is the bias-corrected and accelerated one (Efron 1987) of 9,999 seeded resamples,
    which with a handful of pairs is too narrow: prefer t there.
    """
    if how == "bootstrap":
        found = (
            stats()
            .bootstrap(
                (differences,),
                np.mean,
                confidence_level=level,
                n_resamples=RESAMPLES,
                rng=np.random.default_rng(seed),
            )
            .confidence_interval
        )
        return float(found.low), float(found.high)
    n = len(differences)
    half = t_limit((1 - level) / 2, n - 1) * float(differences.std(ddof=1)) / math.sqrt(n)
    mean = float(differences.mean())
    return mean - half, mean + half


def summary_p_value(mean: float, sd: float, n: int) -> float:
    """Two-sided one-sample t-test of a published "mean ± SD" of n repeats: its p-value.

    `UsageError` where there is none: a negative SD, which is a misprint, an SD of 0, or fewer than 2 repeats.
    """
    if sd < 0:
        raise UsageError(f"a standard deviation of {sd:g} is an input error", fix="correct the table")
    if n < 2 or sd == 0:
        why = "one repeat has no spread" if n < 2 else "an SD of 0 says nothing of the spread"
        raise UsageError(f"{mean:g} ± {sd:g} of {n} has no p-value: {why}", fix="give 2 repeats or more")
    return _t_p_value(mean, sd, n)
