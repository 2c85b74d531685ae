"""Finds where one shot of a video becomes the next in what is known of its frames: numbers in, transitions out."""

from __future__ import annotations

import numpy as np

from sluice.operator import Span
from sluice.ops.video.cuts import hard_cuts
from sluice.ops.video.gradual import dissolves, fades
from sluice.ops.video.transition import Transition


def content_transitions(content: Span) -> list[Transition]:
    """The transitions of a `video_content` track in order: fades through black, cuts outside them, and dissolves with
    neither inside.
    """
    found = fades(content)
    for more in (hard_cuts(content), dissolves(content)):
        found += [t for t in more if not any(_overlap(t, other) for other in found)]
    return sorted(found, key=lambda t: t.start_s)


def _overlap(a: Transition, b: Transition) -> bool:
    return a.start_s <= b.end_s and b.start_s <= a.end_s


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
