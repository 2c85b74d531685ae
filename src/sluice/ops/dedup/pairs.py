"""What every deduplicator returns: the verified pairs, in one form that can be stored, cut and resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["equal", "hamming", "cosine", "jaccard"]

# The score of two identical values, by kind.
IDENTICAL_SCORE: dict[Kind, float] = {"equal": 1.0, "hamming": 0.0, "cosine": 1.0, "jaccard": 1.0}


@dataclass(frozen=True)
class Pairs:
    """Verified near pairs of rows, a < b, sorted by (a, b), each at most once.

    Rows of identical values would make quadratically many pairs, so each such class is written as a *star*:
    one pair (first row, other row) with `identical` true. The other rows of a star stand in no further pair:
    whatever is near the first row is exactly as near to them. `sluice.store.groups.resolve` knows this.
    """

    kind: Kind
    """What `score` is: 1.0 for `equal`, the distance in bits for `hamming` (lower is nearer), the cosine for
    `cosine` and the similarity of two sets for `jaccard` (higher is nearer)."""
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    score: NDArray[np.float32]
    identical: NDArray[np.bool_]
    """True where both rows hold the same value (a star pair)."""
    unmatched: int = 0
    """Rows that can match nothing: null values, and zero or non-finite vectors."""
    bound: float | None = None
    """All pairs down to this score were looked for; None: down to the threshold that was asked for."""
    complete: bool = True
    """Whether every such pair is here, so that what other rows were compared with them does not matter."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """How the pairs were found, for people: the method, its sizes, its recall certificate."""

    def __len__(self) -> int:
        return len(self.a)

    def within(self, threshold: float) -> Pairs:
        """Keep the pairs at least as near as `threshold` (inclusive; star pairs always are)."""
        bound = np.float32(threshold)
        near = self.score <= bound if self.kind == "hamming" else self.score >= bound
        near |= self.identical
        a, b, score = self.a[near], self.b[near], self.score[near]
        return replace(self, a=a, b=b, score=score, identical=self.identical[near])


def assemble(
    kind: Kind,
    first: NDArray[np.int64],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    score: NDArray[np.float32],
    **about: Any,
) -> Pairs:
    """Join the stars of `first` (see `sluice.ops.dedup.identical.first_rows`) with near pairs of first rows.

    `a` and `b` hold each near pair once, in either orientation and any order; `about` are further fields of
    `Pairs`.
    """
    rows = np.arange(len(first), dtype=np.int64)
    other = np.flatnonzero((first >= 0) & (first != rows))
    low = np.concatenate([first[other], np.minimum(a, b)])
    high = np.concatenate([other, np.maximum(a, b)])
    scores = np.concatenate([np.full(len(other), IDENTICAL_SCORE[kind], np.float32), score])
    order = np.argsort(low * np.int64(max(len(first), 1)) + high)
    unmatched = int((first < 0).sum())
    return Pairs(kind, low[order], high[order], scores[order], order < len(other), unmatched, **about)
