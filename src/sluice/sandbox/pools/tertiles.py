"""Splits samples by one measure into thirds: low, mid and high."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PARTS = ("low", "mid", "high", "null")
"""The pools of one measure; `null` holds the samples without a value."""


@dataclass(frozen=True, eq=False)
class Tertiles:
    """Samples by one measure.

    `low` are those up to `low_max` (included), `high` those above `mid_max`, `mid` the ones between, `null` those
    without a value: positions, ascending. `note` says what is unusual (a constant measure, ties that kept a cut
    from where it should lie), and is empty where nothing is. Where a cut cannot be made it is None and the parts
    beyond it are empty: a constant measure has `mid` only.
    """

    low: NDArray[np.int64]
    mid: NDArray[np.int64]
    high: NDArray[np.int64]
    null: NDArray[np.int64]
    low_max: float | None
    mid_max: float | None
    note: str = ""

    def part(self, name: str) -> NDArray[np.int64]:
        """One of `PARTS`."""
        found: NDArray[np.int64] = getattr(self, name)
        return found


def tertiles(values: NDArray[np.float64]) -> Tertiles:
    """The thirds of these values (NaN: none), with cuts at 1/3 and 2/3 of them (Data-Juicer Sandbox, section 3.2).

    Equal values never lie on both sides of a cut: it moves to the nearest place between two different values, the
    lower one of two that are equally near. Where both fall together there is no `mid`.
    """
    missing = np.isnan(values)
    null = np.flatnonzero(missing)
    have = np.flatnonzero(~missing)
    if not len(have):
        return _uncut(have, null, "no sample has a value")
    found = values[have]
    low_max, mid_max = _cut(found, 1 / 3), _cut(found, 2 / 3)
    if low_max is None or mid_max is None:
        return _uncut(have, null, f"all values are {found[0]:g}")
    low, high = found <= low_max, found > mid_max
    mid = ~low & ~high
    note = _uneven([int(part.sum()) for part in (low, mid, high)])
    return Tertiles(have[low], have[mid], have[high], null, low_max, mid_max, note)


def _cut(values: NDArray[np.float64], share: float) -> float | None:
    """The highest value below the place nearest to this share of all where a cut can be made; None where none can."""
    target = len(values) * share
    middle = np.partition(values, int(target))[int(target)]
    below, upto = int((values < middle).sum()), int((values <= middle).sum())
    # Those are the two places around the target; at either end of all values nothing is cut.
    if below and (upto == len(values) or target - below <= upto - target):
        return float(values[values < middle].max())
    return float(middle) if upto < len(values) else None


def _uncut(have: NDArray[np.int64], null: NDArray[np.int64], note: str) -> Tertiles:
    none = np.empty(0, np.int64)
    return Tertiles(none, have, none, null, None, None, note)


_UNEVEN = 0.05  # of all samples; less is what rounding and a few equal values do
_FEW = 20


def _uneven(counts: list[int]) -> str:
    total = sum(counts)
    shares = [count / total for count in counts]
    if total < _FEW or max(abs(share - 1 / 3) for share in shares) <= _UNEVEN:
        return ""
    each = ", ".join(f"{name} {share:.1%}" for name, share in zip(PARTS, shares, strict=False))
    return f"ties make the thirds uneven: {each}"
