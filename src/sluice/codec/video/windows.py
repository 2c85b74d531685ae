"""The windows of frames that a clip is looked at and captioned by."""

from __future__ import annotations

WINDOW_FRAMES, LEAST_REMAINDER, LEAST_FRAMES = 256, 128, 4
"""Cosmos-Curate's: frames of a window, of a last one that stands alone, of the shortest one at all."""


def frame_windows(
    frame_count: int, *, window: int = WINDOW_FRAMES, least_remainder: int = LEAST_REMAINDER
) -> list[tuple[int, int]]:
    """First frame and end (exclusive) of each window of a clip of so many frames.

    What is left at the end is a window of its own if it has `least_remainder` frames, else it joins the last one:
    600 are 256 + 344, 640 are 256 + 256 + 128. Fewer than 4 frames have no window.
    """
    if frame_count < LEAST_FRAMES:
        return []
    starts = list(range(0, frame_count, window))
    if len(starts) > 1 and frame_count - starts[-1] < least_remainder:
        starts.pop()
    return list(zip(starts, [*starts[1:], frame_count], strict=True))
