"""The frames of a view, in order of presentation, from its start to its end."""

from __future__ import annotations

from collections.abc import Iterator

from sluice.codec.limits import current_limits
from sluice.codec.video.container import first_tick, opened, seconds
from sluice.codec.video.frame import Frame, Scalers
from sluice.codec.video.reader import Reader
from sluice.errors import UnreadableError
from sluice.sample.media import Media


def decode(media: Media, *, motion_vectors: bool = False, keyframes_only: bool = False) -> Iterator[Frame]:
    """The view's frames in order of presentation; span and crop are respected, memory does not grow with length.

    A span decodes from the key frame at or before its start; only where the container cannot be searched (raw
    streams) from its beginning. With `motion_vectors` frames have the codec's own vectors; with `keyframes_only` key
    frames alone are decoded and given.

    Raises UnreadableError with the reason `no video stream`, `no frames` (in the source, or in the span), `truncated`
    (it ends before its container says), `corrupt` (a picture cannot be decoded, or only by guessing at what is
    damaged), `unsupported codec`, `timestamps go back` or `crop outside the picture`; LimitError (`bomb`);
    StorageError where the bytes are not there any more.
    """
    with opened(media) as source:
        reader = Reader(source, motion_vectors=motion_vectors, keyframes_only=keyframes_only)
        found = False
        for frame in _in_span(reader, media):
            found = True
            yield frame
        if not found and not keyframes_only:
            raise UnreadableError("no frames", "no frame lies in the span")


def _in_span(reader: Reader, media: Media) -> Iterator[Frame]:
    look, scalers = reader.look(media.crop), Scalers()
    origin, time_base = reader.first[1], reader.time_base
    start = None if media.start_s is None else origin + first_tick(media.start_s, time_base)
    end = None if media.end_s is None else origin + first_tick(media.end_s, time_base)
    index, held, check = 0, None, current_limits().check_video_length
    for image, pts in reader.images(start):
        check(seconds(pts - origin, time_base), index)
        if start is not None and pts < start:
            continue
        if held is not None:  # a frame is shown until the next one
            yield Frame(
                held[0],
                look,
                scalers,
                time_s=seconds(held[1] - origin, time_base),
                pts=held[1],
                duration_s=seconds(pts - held[1], time_base),
                index=index,
            )
            index, held = index + 1, None
        if end is not None and pts >= end:
            return
        held = image, pts
    if held is not None:
        yield reader.frame(held, look, scalers, index)
