"""The windows of a clip that are captioned one by one, and the frames that stand for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Lock
from typing import TypeVar

import numpy as np
import xxhash
from numpy.typing import NDArray

from sluice.codec.video.windows import LEAST_FRAMES, frame_windows
from sluice.errors import Declined, SampleError, StorageError, UnreadableError
from sluice.ops.video.info import video_info
from sluice.sample import Media

FPS = 2.0
"""Frames a second that a model is shown: Cosmos-Curate's, and what Qwen2-VL (Wang et al. 2024) is trained at."""

MOST_FRAMES, MOST_PIXELS = 64, 4_194_304
"""What a model is shown of one window: so many frames, and pixels of all of them together (16 frames of 512 x 512)."""

T = TypeVar("T")
Times = NDArray[np.float64]
"""When frames are shown, in seconds of the source, ascending."""

_SAME_S = 1e-6
_SOURCES = 4
_reading = Lock()
"""Held while the times of a source are read: threads that ask for clips of one wait for one reading."""


@dataclass(frozen=True, slots=True)
class Window:
    """Frames of a clip, by their places in it: from `start` up to `end`, which is not in it."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which frames of a window a model is shown, and how large."""

    fps: float
    most_frames: int
    most_pixels: int

    def places(self, times_s: Times) -> list[int]:
        """Places among a window's frames, by their times: the first at or after each step of 1/`fps` seconds.

        Each once; where there are more than `most_frames`, so many of them, evenly spread (of one the middle).
        """
        steps = np.arange(times_s[0], times_s[-1] + _SAME_S, 1 / self.fps)
        found = np.unique(np.searchsorted(times_s, steps - _SAME_S))
        if len(found) > self.most_frames:
            spread = (np.arange(self.most_frames) + 0.5) * len(found) / self.most_frames
            found = found[spread.astype(int)]
        return [int(place) for place in found]

    def pictures(self, media: Media, times_s: Sequence[float]) -> list[NDArray[np.uint8]]:
        """The frames of a clip at these times as shown, RGB, reached by seeking; all alike scaled to the budget."""
        from sluice.codec.video import frames_along

        info = video_info(media)
        factor = (self.most_pixels / (len(times_s) * info.width_px * info.height_px)) ** 0.5
        side = max(1, int(max(info.width_px, info.height_px) * min(1.0, factor)))
        return [frame.rgb(max_side_px=side) for frame in frames_along(media, times_s)]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a model is shown of a clip from frame to frame: the pictures, and the digest that they are known by."""

    pictures: tuple[NDArray[np.uint8], ...]
    digest: str
    """xxh3-128 of the pictures' sizes and pixels."""


def clip_times(media: Media | None) -> Times:
    """When each frame of a clip is shown, in seconds of its source, ascending. Raises UnreadableError."""
    if media is None:
        raise UnreadableError("no bytes", "the item has no media")
    whole = replace(media, start_s=None, end_s=None, crop=None)
    try:
        times = _remembered(whole) if whole.uri else _times.__wrapped__(whole)
    except StorageError as error:
        raise UnreadableError("bytes not readable", str(error)) from error
    first = 0 if media.start_s is None else int(np.searchsorted(times, media.start_s - _SAME_S))
    last = len(times) if media.end_s is None else int(np.searchsorted(times, media.end_s - _SAME_S))
    return times[first:last]


def _remembered(whole: Media) -> Times:
    with _reading:
        return _times(whole)


@lru_cache(maxsize=_SOURCES)
def _times(whole: Media) -> Times:
    from sluice.codec.video import frame_times

    return frame_times(whole)


@dataclass(frozen=True, slots=True)
class Part:
    """A window of a clip, with the times of its frames."""

    media: Media
    window: Window
    times_s: Times

    def shown(self, sampling: Sampling) -> Shown:
        """What a model is shown of it. Raises UnreadableError."""
        return shown(self.media, self.times_s, sampling)


def parts(media: Media | None, window: int, least_remainder: int) -> list[Part] | SampleError:
    """The windows of a clip (see `frame_windows`); or why it has none."""
    try:
        times = clip_times(media)
    except SampleError as error:
        return error
    found = frame_windows(len(times), window=window, least_remainder=least_remainder)
    if media is None or not found:
        return Declined("too few frames", f"{len(times)} frames; a window has {LEAST_FRAMES} or more")
    return [Part(media, Window(start, end), times[start:end]) for start, end in found]


def of_each(
    clips: Sequence[list[Part] | SampleError], replies: Iterable[T]
) -> list[list[tuple[Window, T]] | SampleError]:
    """The windows of each clip with their replies, which come in order, one a window; or why it has none."""
    following = iter(replies)
    return [
        clip if isinstance(clip, SampleError) else [(part.window, next(following)) for part in clip]
        for clip in clips
    ]


def shown(media: Media, times_s: Times, sampling: Sampling) -> Shown:
    """What a model is shown of the frames of a clip that have these times. Raises UnreadableError."""
    try:
        pictures = sampling.pictures(media, [float(times_s[k]) for k in sampling.places(times_s)])
    except StorageError as error:
        raise UnreadableError("bytes not readable", str(error)) from error
    return Shown(tuple(pictures), _digest(pictures))


def _digest(pictures: Sequence[NDArray[np.uint8]]) -> str:
    hasher = xxhash.xxh3_128()
    for rgb in pictures:
        hasher.update(repr(rgb.shape).encode())
        hasher.update(rgb.tobytes())
    return hasher.hexdigest()
