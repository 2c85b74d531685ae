"""How many of the true near pairs were found? A bound from brute force over random rows, not a belief."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.ops.dedup.collect import Found, Rows
from sluice.ops.dedup.compare import Comparison
from sluice.ops.dedup.products import Products
from sluice.ops.dedup.vectors import Directions

CONFIDENCE = 0.95
QUERIES = 1024
"""Random rows compared with all others at a time."""

MOST_QUERIES = 20_480
"""Where duplicates are rare, few rows have any; after so many the bound is what it is."""


def certify(
    of: Directions,
    rows: Rows,
    similarity: float,
    pairs: tuple[Rows, Rows],
    products: Products,
    *,
    trials: int = 300,
) -> dict[str, Any]:
    """Compare random ones of `rows` with all of them, and see whether `pairs` holds what is found.

    A trial is a row with at least one true neighbour of cosine ≥ `similarity`; it is missed unless every one
    of them is in `pairs` (a, b in either orientation, each once). Rows are drawn by their luck, in batches,
    until there are `trials` or all rows, or `MOST_QUERIES`, are drawn. Returns `queries`, `trials`, `missed`,
    `similarity`, `confidence` and `recall_at_least`, the Clopper-Pearson bound: the share of rows with
    neighbours whose neighbours were all found. 0 of 299 missed certify 0.99.
    """
    n = len(of.first)
    known = np.sort(_keys(*pairs, n))
    drawn = rows[np.argsort(of.luck[rows], kind="stable")[::-1]]  # those of least luck trained the clusters
    queries, had, missed = 0, 0, 0
    while queries < min(len(drawn), MOST_QUERIES) and had < trials:
        batch = np.sort(drawn[queries : queries + QUERIES])
        queries += len(batch)
        truth = Found("lower `trials`, or raise `similarity`")
        Comparison(of, similarity, truth, products).between(batch, rows, lambda a, b: a != b)
        a, b, _ = truth.columns()
        lost = a[~_holds(known, _keys(a, b, n))]
        had, missed = had + len(np.unique(a)), missed + len(np.unique(lost))
    return {
        "queries": queries,
        "trials": had,
        "missed": missed,
        "similarity": similarity,
        "confidence": CONFIDENCE,
        "recall_at_least": round(recall_bound(missed, had), 5),
    }


def recall_bound(missed: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided Clopper-Pearson lower bound of a share of successes (Biometrika 26, 1934); 0 of no trial.

    The least p for which so few misses, or fewer, are no less likely than 1 - `confidence`.
    """
    if missed >= trials:
        return 0.0
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        p = (low + high) / 2
        low, high = (p, high) if _at_most(missed, trials, 1 - p) < 1 - confidence else (low, p)
    return low


def _at_most(k: int, n: int, p: float) -> float:
    """The chance of at most k of n independent events of chance p."""
    if p <= 0:
        return 1.0
    logs = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1)
        + i * math.log(p) + (n - i) * math.log1p(-p)
        for i in range(k + 1)
    )  # fmt: skip
    return math.fsum(math.exp(log) for log in logs)


def _keys(a: Rows, b: Rows, n: int) -> NDArray[np.int64]:
    return np.minimum(a, b) * np.int64(n) + np.maximum(a, b)


def _holds(known: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which keys are among the sorted known ones."""
    if not len(known):
        return np.zeros(len(keys), bool)
    at = np.searchsorted(known, keys)
    at[at == len(known)] = 0
    held: NDArray[np.bool_] = known[at] == keys
    return held
