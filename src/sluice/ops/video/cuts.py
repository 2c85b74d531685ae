"""Finds the hard cuts of a video in what its frames differ by: numbers in, transitions out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sluice.operator import Span
from sluice.ops.video.transition import Transition

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
MAX_SAME_DISTANCE = 0.32
"""Share of differing bits below which two pictures a moment apart are one, moved or in other light."""


def hard_cuts(content: Span) -> list[Transition]:
    """The cuts among the frames of a `video_content` track: each at the first frame of the new shot.

    The score is the share of differing hash bits, or that of the levels where it is larger.
    """
    difference = np.nan_to_num(content["difference"].astype(float))
    bits = hash_bits(content)
    distance = np.zeros(len(difference))
    distance[1:] = (bits[1:] != bits[:-1]).mean(axis=1)
    confirmed = (distance >= MIN_HASH_DISTANCE) | (difference >= SURE_DIFFERENCE)
    stands_out = difference >= np.maximum(MIN_DIFFERENCE, MIN_RATIO * _neighbours(difference))
    found = [int(i) for i in np.flatnonzero(confirmed & stands_out)]
    times, score = content.times_s.tolist(), np.maximum(distance, difference / 255).round(4).tolist()
    return [
        Transition("cut", times[i], times[i], score[i])
        for i in found
        if not _is_flash(i, difference, content.times_s, bits)
    ]


def hash_bits(content: Span) -> NDArray[np.uint8]:
    """The perceptual hashes of the frames as bits [frames, 256]."""
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


def _is_flash(
    i: int, difference: NDArray[np.float64], times_s: NDArray[np.float64], bits: NDArray[np.uint8]
) -> bool:
    """Whether a cut goes into a flash or out of it: beside it is another jump, and before the first of the two is the
    picture that is after the second.
    """
    first, stop = np.searchsorted(times_s, [times_s[i] - FLASH_S, times_s[i] + FLASH_S])
    jumps = first + np.flatnonzero(difference[first:stop] >= difference[i] / MIN_RATIO)
    ends = ((min(i, int(k)), max(i, int(k))) for k in jumps if k != i)
    return any((bits[into - 1] != bits[out]).mean() < MAX_SAME_DISTANCE for into, out in ends if into)
