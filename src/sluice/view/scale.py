"""The axes of charts: where a value lies between left and right, and which round numbers to print."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear or logarithmic (base 10) axis from `low` to `high`, both in units of the field."""

    low: float
    high: float
    log: bool = False

    def position(self, value: float) -> float:
        """Where a value lies, in percent of the axis; outside values are held at the ends."""
        low, high = self.forward(self.low), self.forward(self.high)
        value = min(max(value, self.low), self.high)
        return 100 * (self.forward(value) - low) / (high - low)

    def forward(self, value: float) -> float:
        """The value in axis units."""
        return math.log10(value) if self.log else value

    def ticks(self, most: int = 6) -> list[float]:
        """At most `most` round numbers on the axis."""
        return _log_ticks(self.low, self.high, most) if self.log else _linear_ticks(self.low, self.high, most)


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    span = high - low
    magnitude = 10.0 ** math.floor(math.log10(span / most))
    for factor in (1, 2, 2.5, 5, 10, 20):
        step = factor * magnitude
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [k * step for k in range(first, last + 1)]
    return [low, high]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [f * 10.0**e for e in range(first, last + 1) for f in factors]
        ticks = [t for t in ticks if low * (1 - 1e-9) <= t <= high * (1 + 1e-9)]
        if 2 <= len(ticks) <= most:
            return ticks
    stride = math.ceil((last - first + 1) / most)
    ticks = [10.0**e for e in range(first, last + 1) if e % stride == 0 and low <= 10.0**e <= high]
    # Less than a decade holds no two round powers: there a linear choice of ticks is as honest.
    return ticks if len(ticks) > 1 else _linear_ticks(low, high, most)
