"""How large a difference can so many seeds find, and how many seeds does one need?"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sluice.errors import UsageError
from sluice.sandbox.statistics.significance import special, stats, t_limit

WANTED = 0.8
"""Power that a plan asks for unless it says otherwise (Cohen 1988)."""
MOST_SEEDS = 10_000
_SLICES = 4096


def power(n: int, effect: float, sd: float, alpha: float = 0.05) -> float:
    """The chance that a two-sided paired t-test of n seeds finds a true mean difference `effect`, 0 to 1.

    `sd` is that of the paired differences; `alpha` is what one arm is tested at (0.05 / arms before Holm). Given the
    sample variance, the test statistic is normal; the variance is averaged over 4,096 equally likely values of its
    chi-square distribution. SciPy's noncentral t would be the textbook's way, and is NaN at some n.
    """
    _check(sd, alpha)
    if n < 2:
        return 0.0
    if sd == 0:
        return 1.0 if effect else alpha
    shift = abs(effect) / sd * math.sqrt(n)
    limit, normal = t_limit(alpha / 2, n - 1) * _spreads(n), special().ndtr
    return float(np.mean(normal(shift - limit) + normal(-limit - shift)))


@cache
def _spreads(n: int) -> NDArray[np.float64]:
    """Equally likely values of the sample's SD where the true one is 1."""
    middle = (np.arange(_SLICES) + 0.5) / _SLICES
    found: NDArray[np.float64] = np.sqrt(stats().chi2.ppf(middle, n - 1) / (n - 1))
    return found


def seeds_needed(effect: float, sd: float, alpha: float = 0.05, *, wanted: float = WANTED) -> int:
    """The fewest seeds whose power is at least `wanted`; `UsageError` where even 10,000 are too few."""
    _check(sd, alpha)
    if not 0 < wanted < 1:
        raise UsageError(f"a power of {wanted:g} cannot be planned for", fix="give one between 0 and 1")
    low, high = 1, 2
    while high < MOST_SEEDS and power(high, effect, sd, alpha) < wanted:
        low, high = high, min(2 * high, MOST_SEEDS)
    if power(high, effect, sd, alpha) < wanted:
        raise UsageError(
            f"{MOST_SEEDS} seeds do not find an effect of {effect:g} where differences have SD {sd:g}",
            fix="plan for a larger effect, or lower the noise",
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle, effect, sd, alpha) >= wanted else (middle, high)
    return high


def detectable_effect(n: int, sd: float, alpha: float = 0.05, *, wanted: float = WANTED) -> float | None:
    """The smallest true difference that n seeds find with power `wanted`; None of fewer than 2 seeds."""
    _check(sd, alpha)
    if n < 2:
        return None
    if sd == 0:
        return 0.0
    low, high = 0.0, sd
    while power(n, high, sd, alpha) < wanted:
        low, high = high, 2 * high
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power(n, middle, sd, alpha) >= wanted else (middle, high)
    return high


def _check(sd: float, alpha: float) -> None:
    if sd < 0 or not math.isfinite(sd):
        raise UsageError(f"a standard deviation of {sd:g} is an input error", fix="give one of 0 or more")
    if not 0 < alpha < 1:
        raise UsageError(f"alpha is {alpha:g}", fix="give one between 0 and 1, such as 0.05")
