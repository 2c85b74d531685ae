"""Frames of a view at given times, reached by seeking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sluice.codec.video.container import first_tick, opened, seconds
from sluice.codec.video.decode import decode
from sluice.codec.video.frame import Frame, Scalers
from sluice.codec.video.reader import Reader
from sluice.errors import UnreadableError
from sluice.sample.media import Media

if TYPE_CHECKING:
    from sluice.codec.video.reader import Picture


def uniform_times(start_s: float, end_s: float, n: int) -> list[float]:
    """`n` times spread evenly from `start_s` to `end_s`, both included; of one, the middle.

    At `end_s` itself a span has no frame any more: `frames_at` gives its last one there.
    """
    if n < 1:
        return []
    length = end_s - start_s
    if n == 1:
        return [start_s + length / 2]
    return [start_s + i * length / (n - 1) for i in range(n)]


def frame_times(media: Media) -> NDArray[np.float64]:
    """When each frame of the whole source behind a view is shown, in seconds of the source, ascending.

    By reading packets; only the first picture is decoded. Raises as `decode` does.
    """
    with opened(media) as source:
        reader = Reader(source)
        first, time_base = reader.first[1], reader.time_base
    with opened(media) as source:  # not every container can be put back to its start
        ticks = sorted(at for at, _, _ in Reader(source).shown())
    return np.array([seconds(at - first, time_base) for at in ticks])


def frames_at(media: Media, times_s: Sequence[float]) -> list[Frame]:
    """For each time (seconds of the source) the first frame of the view at or after it; past its end the last one.

    Frames are in the order of `times_s`, their `index` too; the same picture may come twice. `duration_s` is what the
    container says. Decodes from the key frame before each time, and no frame twice. Raises as `decode` does.
    """
    if not times_s:
        return []
    with opened(media) as source:
        reader = Reader(source)
        look, scalers = reader.look(media.crop), Scalers()
        pictures = _Pictures(reader, media)
        found = {i: pictures.at(times_s[i]) for i in sorted(range(len(times_s)), key=times_s.__getitem__)}
        return [reader.frame(found[i], look, scalers, i) for i in range(len(times_s))]


def frames_along(media: Media, times_s: Iterable[float]) -> Iterator[Frame]:
    """As `frames_at`, for ascending times, one frame after another: none is held here once the next is asked for."""
    with opened(media) as source:
        reader = Reader(source)
        look, scalers = reader.look(media.crop), Scalers()
        pictures = _Pictures(reader, media)
        for index, time_s in enumerate(times_s):
            yield reader.frame(pictures.at(time_s), look, scalers, index)


class _Pictures:
    """The pictures of a view at times that are asked for in ascending order."""

    def __init__(self, reader: Reader, media: Media) -> None:
        self._reader = reader
        self._origin = reader.first[1]
        self._start = self._origin if media.start_s is None else self._tick(media.start_s)
        self._end = None if media.end_s is None else self._tick(media.end_s)
        self._ahead: Iterator[Picture] | None = None
        self._here: Picture | None = None  # the last picture that was decoded
        self._inside: Picture | None = None  # the last one that lies in the view

    def _tick(self, time_s: float) -> int:
        return self._origin + first_tick(time_s, self._reader.time_base)

    def at(self, time_s: float) -> Picture:
        tick = max(self._tick(time_s), self._start)
        if self._end is not None:
            tick = min(tick, self._end - 1)  # from there on the last picture of the view is meant
        here = self._here
        if self._ahead is None or (here is not None and self._reader.leads_further(here[1], tick)):
            self._ahead = self._reader.images(tick)
            self._here = self._inside = None
        while self._here is None or self._here[1] < tick:
            following = next(self._ahead, None)
            if following is None:
                break
            self._here = following
            if following[1] >= self._start and (self._end is None or following[1] < self._end):
                self._inside = following
        if self._inside is None:
            raise UnreadableError("no frames", "no frame lies in the span")
        return self._inside


def keyframes(media: Media) -> Iterator[Frame]:
    """The view's key frames, nothing else being decoded; where it has none, its first frame.

    Raises as `decode` does.
    """
    found = False
    for frame in decode(media, keyframes_only=True):
        found = True
        yield frame
    if not found:
        yield next(decode(media))
