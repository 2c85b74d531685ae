"""A quality classifier: how much does a text read like those that are known to be good?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from sluice.errors import UsageError
from sluice.operator.extra import imported

BITS = 18
"""Buckets that words are hashed to, as a power of 2: that of the GPT-3 filter's tokenizer (HashingTF's default)."""

FOLDS = 5
"""A text is judged by the model that learned from the other four fifths, so none is judged by what it taught."""

_L2 = 1.0  # scikit-learn's default strength
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Quality:
    """Probability of being a good text by key, and how well the classes could be told apart where it was not taught.

    `auc` is the area under the ROC curve over good and other texts, each judged by a model that had not seen it: at
    0.5 the classifier knows nothing, and its word on samples is worth as much.
    """

    scores: Mapping[str, float]
    auc: float


def quality(texts: Mapping[str, str], good: Sequence[str], other: Mapping[str, str]) -> Quality:
    """Judge `texts` by logistic regression over hashed words and pairs of words, good against other texts.

    That is the classifier of GPT-3's data (Brown and others 2020, appendix A), which Data-Juicer's quality classifier
    repeats. Both classes weigh the same, however many texts they have. `UsageError` where one has fewer than `FOLDS`.
    """
    if len(good) < FOLDS or len(other) < FOLDS:
        raise UsageError(
            f"{len(good)} good and {len(other)} other texts are too few to learn from",
            fix=f"give at least {FOLDS} of each; some hundreds are worth something",
        )
    learned = [*good, *other.values()]
    labels = np.array([1.0] * len(good) + [0.0] * len(other))
    folds = np.array([_fold(text) for text in learned])
    x = _features(learned)
    weights = [_fit(x[folds != k], labels[folds != k]) for k in range(FOLDS)]
    unseen = np.array([_judge(x[n], weights[k])[0] for n, k in enumerate(folds)])
    keys = list(texts)
    asked = _features([texts[key] for key in keys])
    where = np.array([_fold(texts[key]) for key in keys], np.int64)
    scores = np.zeros(len(keys))
    for k in range(FOLDS):
        scores[where == k] = _judge(asked[where == k], weights[k])
    return Quality(dict(zip(keys, scores.tolist(), strict=True)), _auc(unseen, labels))


def _fold(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) % FOLDS


def _features(texts: Sequence[str]) -> Any:
    """Term frequencies, of length one: rows of a sparse matrix with a column of ones at its end."""
    sparse = imported("scipy.sparse", "sandbox")

    rows: list[int] = []
    columns: list[int] = []
    for row, text in enumerate(texts):
        words = _WORD.findall(text.lower())
        found = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
        columns += [xxhash.xxh32_intdigest(w.encode("utf-8", "surrogatepass")) >> (32 - BITS) for w in found]
        rows += [row] * len(found)
    counts = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(texts), 1 << BITS))
    norms = np.sqrt(counts.multiply(counts).sum(axis=1)).A1
    scale = sparse.diags(1 / np.where(norms, norms, 1.0))
    return sparse.hstack([scale @ counts, np.ones((len(texts), 1))], format="csr")


def _fit(x: Any, labels: NDArray[np.float64]) -> NDArray[np.float64]:
    minimize = imported("scipy.optimize", "sandbox").minimize

    share = np.where(labels == 1, 0.5 / max(labels.sum(), 1), 0.5 / max((1 - labels).sum(), 1)) * len(labels)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = x @ weights
        told = np.logaddexp(0, margin) - labels * margin
        gradient = x.T @ (share * (_sigmoid(margin) - labels))
        free = weights.copy()
        free[-1] = 0.0  # the intercept is not held small
        return float((share * told).sum() + 0.5 * _L2 * free @ free), gradient + _L2 * free

    found: NDArray[np.float64] = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    return found


def _judge(x: Any, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return _sigmoid(x @ weights)


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = 0.5 * (1 + np.tanh(0.5 * values))
    return found


def _auc(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    """The share of pairs of a good and another text in which the good one scores higher, ties half."""
    rankdata = imported("scipy.stats", "sandbox").rankdata

    positive = labels == 1
    ranks = rankdata(scores)[positive].sum()
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks - n * (n + 1) / 2) / (n * m))
