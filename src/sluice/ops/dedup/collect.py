"""Gathers near pairs from several threads, and stops where there are more than anyone can use."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from sluice.errors import RunError

PAIRS_LIMIT = 50_000_000  # some 100 bytes each while they are sorted: 5 GB

Rows = NDArray[np.int64]
Columns = tuple[Rows, Rows, NDArray[np.float32]]


class Found:
    """Near pairs (a, b, score) as they are found; small types, since there may be many.

    `compared` counts the pairs that were looked at. Raises RunError beyond `limit` pairs; `fix` says what the
    user can do about it. Where scores are cosines, pairs below `needed` are a stock for later questions: when
    the limit is passed they are given up first, and `floor` says from which score on all pairs are here.
    """

    def __init__(self, fix: str, limit: int = PAIRS_LIMIT, needed: float = -np.inf) -> None:
        self._parts: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]] = []
        self._count = 0
        self._limit, self._fix, self._needed = limit, fix, needed
        self.floor = -np.inf
        self.compared = 0
        self._lock = threading.Lock()

    def afresh(self) -> Found:
        """An empty collection with the same limits."""
        return Found(self._fix, self._limit, self._needed)

    def looked_at(self, pairs: int) -> None:
        """Count pairs that were compared."""
        with self._lock:
            self.compared += pairs

    def add(self, a: Rows, b: Rows, score: NDArray[np.generic]) -> None:
        """Add pairs of rows (below 2^31) and their scores."""
        with self._lock:
            self._put(a.astype(np.int32), b.astype(np.int32), score.astype(np.float32))
            if self._count > self._limit and self.floor < self._needed:
                self._raise(self._needed)
        if self._count > self._limit:
            raise RunError(f"more than {self._limit:,} pairs of different values are near", fix=self._fix)

    def take_over(self, part: Columns, compared: int, floor: float) -> None:
        """Add what another collection found; `floor` is its."""
        self.looked_at(compared)
        if floor > max(self.floor, -1.0):  # no cosine is lower
            with self._lock:
                self._raise(floor)
        self.add(*part)

    def _raise(self, floor: float) -> None:
        self.floor = floor
        kept, self._parts, self._count = self._parts, [], 0
        for part in kept:
            self._put(*part)

    def _put(self, a: NDArray[np.int32], b: NDArray[np.int32], score: NDArray[np.float32]) -> None:
        if self.floor > -np.inf:
            near = score >= np.float32(self.floor)
            a, b, score = a[near], b[near], score[near]
        self._count += len(a)
        self._parts.append((a, b, score))

    def columns(self) -> Columns:
        """Return all pairs found so far, in no particular order."""
        if not self._parts:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
        a, b, score = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        return a.astype(np.int64), b.astype(np.int64), score
