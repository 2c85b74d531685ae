"""How well a model finds the caption of a picture among all, and the picture of a caption."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def recall(alike: NDArray[np.float64], same: NDArray[np.bool_], at: Sequence[int]) -> dict[int, float]:
    """For each k the share, from 0 to 1, of rows whose own column is among the k most alike.

    `alike[i, j]` is how alike query i and candidate j are; i is i's own. `same[i, j]` says that j is as right as i (an
    equal caption), so it does not stand in i's way. Ties count against: a model that finds all alike finds nothing.
    """
    own = np.diag(alike)[:, None]
    before = ((alike >= own) & ~same & ~np.eye(len(alike), dtype=bool)).sum(1)
    return {k: float((before < k).mean()) for k in at}


def same_rows(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows are equal to which."""
    _, numbers = np.unique(rows, axis=0, return_inverse=True)
    numbers = numbers.reshape(-1)
    return np.asarray(numbers[:, None] == numbers[None, :])
