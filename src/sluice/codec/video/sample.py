"""Frames of a view at given times, reached by seeking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sluice.codec.video.container import first_tick, opened
from sluice.codec.video.decode import Reader, decode
from sluice.codec.video.frame import Frame, Scalers
from sluice.errors import UnreadableError
from sluice.sample.media import Media


def uniform_times(start_s: float, end_s: float, n: int) -> list[float]:
    """`n` times spread evenly from `start_s` to `end_s`, both included; of one, the middle.

    The time `end_s` itself has no frame of the span [start_s, end_s); `frames_at` gives the last one there.
    """
    if n < 1:
        return []
    length = end_s - start_s
    if n == 1:
        return [start_s + length / 2]
    return [start_s + i * length / (n - 1) for i in range(n)]


def frames_at(media: Media, times_s: Sequence[float]) -> list[Frame]:
    """For each time (seconds of the source) the first frame of the view at or after it; past its end the last frame.

    Frames come in the order of `times_s`; the same frame may come twice. Raises as `decode` does.
    """
    if not times_s:
        return []
    with opened(media) as source:
        return _at(Reader(source), media, times_s)


def _at(reader: Reader, media: Media, times_s: Sequence[float]) -> list[Frame]:
    look, scalers, origin = reader.look(media.crop), Scalers(), reader.first[1]
    start = None if media.start_s is None else origin + first_tick(media.start_s, reader.time_base)
    end = None if media.end_s is None else origin + first_tick(media.end_s, reader.time_base)
    order = sorted(range(len(times_s)), key=lambda i: times_s[i])
    found: dict[int, Frame] = {}
    frames = reader.frames(media.start_s, media.end_s, media.crop)
    last: Frame | None = None
    for i in order:
        tick = origin + first_tick(times_s[i], reader.time_base)
        while last is None or last.pts < tick:
            following = next(frames, None)
            if following is None:
                break
            last = following
        if last is None:
            raise UnreadableError("no frames", "no frame lies in the span")
        found[i] = last
    del look, scalers, start, end
    return [found[i] for i in range(len(times_s))]


def keyframes(media: Media) -> Iterator[Frame]:
    """The view's key frames, nothing else being decoded; where it has none, its first frame."""
    found = False
    for frame in decode(media, keyframes_only=True):
        found = True
        yield frame
    if not found:
        yield next(decode(media))
