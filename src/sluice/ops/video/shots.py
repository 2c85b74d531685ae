"""Finds where one shot of a video becomes the next in what is known of its frames: numbers in, transitions out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sluice.operator import Span

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
class Transition:
    """From one shot to the next: the first of its frames that is not of the first shot alone, and the first that is of
    the next alone, in seconds of the source (a cut has both at once); of what kind, and how sure, 0 to 1.
    """

    kind: Literal["cut", "gradual"]
    start_s: float
    end_s: float
    score: float


def learned_transitions(track: Span, min_probability: float) -> list[Transition]:
    """The transitions of a `video_transnetv2` track: runs of frames at which a shot ends that likely.

    The network marks the last frame before a cut. A run of more frames is gradual, and of neither shot. Where all
    frames are marked there is no transition, as its authors have it. The score is the run's highest probability.
    """
    marked = track["probability"] >= min_probability
    if marked.all():
        return []
    edges = np.flatnonzero(np.diff(marked, prepend=False, append=False))
    times = np.append(track.times_s, track.end_s)
    found = []
    for first, after in edges.reshape(-1, 2):
        is_cut = after - first == 1
        if is_cut and after == len(marked):
            continue  # the last shot ends with the video
        score = round(float(track["probability"][first:after].max()), 4)
        start = after if is_cut else first
        found.append(
            Transition("cut" if is_cut else "gradual", float(times[start]), float(times[after]), score)
        )
    return found


def hard_cuts(content: Span) -> list[Transition]:
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
    times = content.times_s.tolist()
    return [
        Transition("cut", times[i], times[i], round(max(distance[i], difference[i] / 255), 4)) for i in kept
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
