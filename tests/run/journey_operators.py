"""Operators for the tests of whole runs: a dear one that counts its calls, and one that meddles with the source."""

from collections.abc import Callable
from typing import Annotated

import numpy as np

from sluice.errors import Declined, StorageError
from sluice.operator import Field, Registry, measure, registry

SCORED: list[int] = []
"""The size of the encoded bytes of every item that the dear operator was called for."""

MEDDLE: list[Callable[[bytes], None]] = []
"""Called with the bytes of every item that the meddler sees."""


@measure(version=1, cost="model")
class image_dear_score:  # noqa: N801 - an operator's name is its class's
    """The mean of the encoded bytes times `gain`: as good as any model's score, and known beforehand."""

    def __init__(self, *, gain: float = 1.0) -> None:
        self.gain = gain
        self.opened = False

    def open(self) -> None:
        """Stands for the loading of weights."""
        self.opened = True

    def __call__(
        self, encoded: list[bytes]
    ) -> list[Annotated[float, Field(unit="score", higher_is="dearer")]]:
        assert self.opened
        SCORED.extend(len(data) for data in encoded)
        return [self.gain * float(np.frombuffer(data, np.uint8).mean()) for data in encoded]


@measure(version=1, cost="model", scope="image")
def image_dearer_score(encoded: bytes) -> Annotated[float, Field(unit="score", higher_is="dearer")]:
    """Another dear one, the first byte."""
    SCORED.append(-len(encoded))
    return float(encoded[0])


@measure(version=1, cost="decode", scope="image")
def image_meddled(encoded: bytes) -> Annotated[float, Field(unit="bytes")]:
    """The size, after whoever meddles had a say."""
    for meddle in MEDDLE:
        meddle(encoded)
    return float(len(encoded))


FLAKY = {"away": False}


@measure(version=1, cost="header", scope="image")
def image_far_away(encoded: bytes) -> Annotated[float, Field(unit="bytes")]:
    """The size, unless the store is away."""
    if FLAKY["away"]:
        raise StorageError("the store does not answer")
    return float(len(encoded))


@measure(version=1, cost="header", scope="text")
def text_first_number(text: str) -> Annotated[float, Field(unit="any")]:
    """The first word as a number; declines where it is none."""
    try:
        return float(text.split()[0])
    except (IndexError, ValueError) as error:
        raise Declined("no number") from error


@measure(version=1, cost="header", scope="image")
def image_pair(encoded: bytes) -> Annotated[np.ndarray, Field(size=2, unit="bytes")]:
    """Size and first byte as a vector; declines of pictures with an odd size."""
    if len(encoded) % 2:
        raise Declined("odd")
    return np.array([len(encoded), encoded[0]], np.float32)


def operators() -> Registry:
    """All installed operators and those above."""
    ours = [v.spec for v in globals().values() if hasattr(v, "spec")]
    return Registry([*registry(), *registry().features(), *ours])
