"""Finds the dissolves and fades of a video in what is known of its frames: numbers in, transitions out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sluice.operator import Span
from sluice.ops.video.cuts import hash_bits
from sluice.ops.video.transition import Transition

MAX_UNMIXED = 0.3
"""Share of the difference of two pictures by which one between them may miss their mean: at cuts, in pans and shaking
hands it is 0.38 and more, in dissolves of shots that move 0 to 0.35 (`benchmarks/cut_accuracy.py`)."""
MIN_HASH_DISTANCE = 0.32
"""Share of differing bits between the pictures before and after a dissolve."""
MIN_DISSOLVE_FRAMES = 2
"""Frames in a row that must be mixtures."""
MAX_BLACK = 20
"""The brightest spot of a picture that is black, in levels of 255: above black's noise, below a dim scene's lights."""
MIN_FADE_FRAMES = 3
"""Frames over which light must come or go: one or two are a cut to black."""
LONGEST_BLACK_S = 1.0
"""Black that lasts longer is a shot of its own."""
_NOISE, _STEADY_FRAMES = 1, 3  # light that gains no more levels than this in so many frames is at its full


def dissolves(content: Span) -> list[Transition]:
    """Where one shot is mixed into the next: runs of frames that are the mean of what comes before and after them,
    between two pictures that are not one by their hashes.

    A picture halfway through a linear dissolve is the mean of those equally far before and after; one of things that
    move is not. The score is 1 less the share by which the best frame of the run misses the mean.
    """
    reach = np.nan_to_num(content["reach"].astype(float)).astype(int)
    unmixed = np.nan_to_num(content["unmixed"].astype(float), nan=np.inf)
    bits, last = hash_bits(content), len(content) - 1
    times = np.append(content.times_s, content.end_s)
    found = []
    for first, stop in _closed(_runs(unmixed <= MAX_UNMIXED), reach):
        before, after = max(0, first - reach[first]), min(last, stop - 1 + reach[stop - 1])
        if stop - first < MIN_DISSOLVE_FRAMES or (bits[before] != bits[after]).mean() < MIN_HASH_DISTANCE:
            continue
        best = first + int(np.argmin(unmixed[first:stop]))
        margin = round(reach[best] / 3)  # so far into it a dissolve of twice the reach is found
        start, end = max(0, first - margin), min(last + 1, stop + margin)
        score = round(1 - float(unmixed[best]), 4)
        found.append(Transition("gradual", float(times[start]), float(times[end]), score))
    return found


def fades(content: Span) -> list[Transition]:
    """Where a shot goes into black or the next comes out of it, by degrees on one side at least.

    From the last frame of full light to the first again, black and all; black that lasts longer than a second, or lies
    at an end of the video, is left to stand between two fades. The score is 1: black is black.
    """
    brightest = content["brightest"].astype(int)
    times = np.append(content.times_s, content.end_s).tolist()
    found = []
    for first, stop in _runs(brightest <= MAX_BLACK):
        out, into = _rise(brightest[:first][::-1]), _rise(brightest[stop:])
        parts = [(first - out, first, out), (stop, stop + into, into)]
        if first > 0 and stop < len(brightest) and times[stop] - times[first] <= LONGEST_BLACK_S:
            parts = [(first - out, stop + into, out + into)]
        found += [Transition("gradual", times[a], times[b], 1.0) for a, b, n in parts if n >= MIN_FADE_FRAMES]
    return found


def _rise(levels: NDArray[np.int64]) -> int:
    """For how many frames it gets brighter, from dim light on; 0 where the light is there at once."""
    if not len(levels):
        return 0
    top = np.maximum.accumulate(levels)
    gains = top[_STEADY_FRAMES:] - top[:-_STEADY_FRAMES] > _NOISE
    rising = int(np.argmin(gains)) if not gains.all() else len(levels)
    return rising if levels[0] <= top[min(rising, len(top) - 1)] / 2 else 0


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False)).reshape(-1, 2)
    return [(int(first), int(stop)) for first, stop in edges]


def _closed(runs: list[tuple[int, int]], reach: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """The runs, those joined that lie no further apart than they reach."""
    held: tuple[int, int] | None = None
    for first, stop in runs:
        if held is not None and first - held[1] <= max(reach[held[0]], reach[first]):
            held = held[0], stop
            continue
        if held is not None:
            yield held
        held = first, stop
    if held is not None:
        yield held
