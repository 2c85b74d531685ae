"""Finds the hard cuts of a video in what its frames differ by: numbers in, boundaries out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sluice.operator import Span

Kind = Literal["cut", "gradual", "start", "end", "stride"]

WINDOW_FRAMES = 2
"""Neighbours on each side that a cut must stand out from (PySceneDetect's adaptive detector)."""
MIN_RATIO = 3.0
"""By how much it must do so, as a ratio (the same)."""
MIN_DIFFERENCE = 8.0
"""Mean absolute difference in levels of 255 below which nothing is a cut: noise of compression stays below 4."""
MIN_HASH_DISTANCE = 0.395
"""Share of differing bits that confirms a cut (the default of PySceneDetect's hash detector)."""
SURE_DIFFERENCE = 64.0
"""A difference that needs no confirmation: frames of one colour have no hash worth the name."""
FLASH_S = 0.25
"""A picture that comes back within this time was hidden by a flash, and not cut away from."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where a shot begins or ends, in seconds of the source, of what kind, and how sure: 0 to 1 (None: by rule)."""

    time_s: float
    kind: Kind
    score: float | None = None


def hard_cuts(content: Span) -> list[Boundary]:
    """The cuts among the frames of a `video_content` track: each at the first frame of the new shot.

    The score is the share of differing hash bits, or that of the levels where it is larger.
    """
    difference = np.nan_to_num(content["difference"].astype(float))
    bits = _bits(content)
    distance = np.zeros(len(difference))
    distance[1:] = (bits[1:] != bits[:-1]).mean(axis=1)
    confirmed = (distance >= MIN_HASH_DISTANCE) | (difference >= SURE_DIFFERENCE)
    stands_out = difference >= np.maximum(MIN_DIFFERENCE, MIN_RATIO * _neighbours(difference))
    found = [int(i) for i in np.flatnonzero(confirmed & stands_out)]
    kept = _without_flashes(found, content.times_s, bits)
    return [
        Boundary(float(content.times_s[i]), "cut", round(max(distance[i], difference[i] / 255), 4))
        for i in kept
    ]


def _bits(content: Span) -> NDArray[np.uint8]:
    packed = np.frombuffer(b"".join(content["hash"]), np.uint8)
    return np.unpackbits(packed.reshape(len(content), -1), axis=1)


def _neighbours(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean difference of the frames beside each, itself left out."""
    total, count = np.zeros_like(difference), np.zeros_like(difference)
    ones = np.ones_like(difference)
    ones[:1] = 0.0  # the first frame has no difference
    for step in range(1, min(WINDOW_FRAMES, len(difference) - 1) + 1):
        total[step:] += difference[:-step]
        count[step:] += ones[:-step]
        total[:-step] += difference[step:]
        count[:-step] += ones[step:]
    return total / np.maximum(count, 1.0)


def _without_flashes(found: list[int], times_s: NDArray[np.float64], bits: NDArray[np.uint8]) -> list[int]:
    """The cuts without those into and out of a flash: the picture before it is the picture after it."""
    kept: list[int] = []
    for i in found:
        back = kept[-1] if kept else None
        is_back = (
            back is not None
            and times_s[i] - times_s[back] <= FLASH_S
            and (bits[back - 1] != bits[i]).mean() < MIN_HASH_DISTANCE / 2
        )
        if is_back:
            kept.pop()
        else:
            kept.append(i)
    return kept
