from typing import Annotated, Any

import numpy as np
import scipy.special

from sluice.operator import Field, feature, measure

COUNT = [0]


@feature(scope="image", version=1, cost="decode")
def levels(encoded: bytes) -> Any:
    """The bytes as numbers."""
    return np.frombuffer(encoded, np.uint8).copy()


@measure(version=1, cost="decode")
def image_undocumented(levels: Any, *, size: int = 3) -> Annotated[float, Field()]:
    return float(scipy.special.expit(float(levels.sum())))


@measure(version=1, cost="decode")
def image_counting(levels: Any) -> Annotated[float, Field(unit="calls", ge=0, le=3)]:
    """Depends on how often it was called."""
    COUNT[0] += 1
    return float(COUNT[0])


@measure(version=1, cost="decode")
def image_mutating(levels: Any) -> Annotated[float, Field(unit="level")]:
    """Changes what others share, and trips over empty input."""
    levels[0] = 7
    return float(levels[-1])


@measure(version=1, cost="decode")
def image_averaging(levels: list[Any]) -> list[Annotated[float, Field(unit="level")]]:
    """Takes its neighbours into account."""
    mean = float(np.mean([entry.mean() for entry in levels if entry.size])) if levels else 0.0
    return [mean for _ in levels]
