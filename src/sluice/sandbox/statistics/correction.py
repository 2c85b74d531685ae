"""Corrects p-values for how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Correction = Literal["holm", "bh"]


def adjusted(p_values: Sequence[float], correction: Correction, *, more: int = 0) -> list[float]:
    """The p-values, each adjusted so that it can be compared with alpha itself.

    `holm` bounds the chance of any false verdict in the family (Holm 1979), `bh` the expected share of false ones
    among all verdicts (Benjamini and Hochberg 1995). `more` members of the family have no p-value to give and count
    as 1: arms that were stopped early were still looked at.
    """
    p = np.array(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    count = len(p) + more
    rank = np.arange(len(p))
    if correction == "holm":
        steps = np.maximum.accumulate(p[order] * (count - rank))
    else:
        steps = np.minimum.accumulate((p[order] * count / (rank + 1))[::-1])[::-1]
    found = np.empty(len(p))
    found[order] = np.minimum(steps, 1.0)
    return [float(value) for value in found]
