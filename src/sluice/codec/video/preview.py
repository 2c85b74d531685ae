"""Small looks at a video for people: its pictures at a steady pace, a strip of posters, an animated WebP."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from sluice.codec.thumbnail import Rgb, encode_jpeg, fit
from sluice.codec.video.decode import decode
from sluice.codec.video.info import probe
from sluice.codec.video.sample import frames_at
from sluice.errors import UnreadableError
from sluice.sample.media import Media

if TYPE_CHECKING:
    from PIL import Image

    from sluice.codec.video.frame import Frame

_SAME_S = 1e-6
"""Times closer than this are the same: they are float64 made from ticks of different clocks."""
_GAP_PX, _PAPER = 3, 240
_MOST_PX = 640  # the width of a preview at most


def on_ticks(frames: Iterable[Frame], fps: float, most: int | None = None) -> Iterator[tuple[Frame, int]]:
    """What a player shows at the ticks k ÷ `fps` after the first frame: frames, each with how many ticks it stays.

    A tick shows the last frame that is not after it, as frames' own times have it: a frame of a slow video stays for
    several ticks, one of a fast video may be left out. The last frame stays as long as it lasts. There is at least
    one tick where there is a frame, and at most `most`. Nothing is decoded beyond those.
    """
    held: Frame | None = None
    origin, told = 0.0, 0
    for frame in frames:
        if held is None:
            origin = frame.time_s
        else:
            until = _ticks(frame.time_s - origin, fps, most)
            if until > told:
                yield held, until - told
                told = until
            if most is not None and told >= most:
                return
        held = frame
    if held is not None:
        until = _ticks(held.time_s + held.duration_s - origin, fps, most)
        until = max(until, 1)
        if until > told:
            yield held, until - told


def _ticks(length_s: float, fps: float, most: int | None) -> int:
    """How many ticks lie before a time."""
    count = math.ceil((length_s - _SAME_S) * fps)
    return count if most is None else min(count, most)


def webp_preview(
    media: Media,
    start_s: float | None = None,
    end_s: float | None = None,
    *,
    fps: float = 1.0,
    height_px: int = 240,
    max_side_px: int = _MOST_PX,
    quality: int = 50,
) -> bytes:
    """The frames of a view with `start_s` ≤ t < `end_s` (seconds of the source; None: the view's own ends) as an
    animated WebP that begins again for ever.

    It shows `fps` pictures a second in real time, scaled down to `height_px` and at most `max_side_px` wide, never
    enlarged; `quality` from 0 to 100 as libwebp counts it. The defaults are those of Cosmos-Curate's previews (one
    picture a second, 240 pixels high, quality 50). The same frames give the same bytes, for one version of libwebp.
    Memory does not grow with the length. Raises as `decode` does.
    """
    view = replace(
        media,
        start_s=media.start_s if start_s is None else start_s,
        end_s=media.end_s if end_s is None else end_s,
    )
    shown = (
        fit(frame.rgb(max(height_px, max_side_px)), max_side_px, height_px)
        for frame, ticks in on_ticks(decode(view), fps)
        for _ in range(ticks)  # equal neighbours become one picture in the file
    )
    return animated_webp(shown, fps=fps, quality=quality)


def window_previews(
    media: Media, windows: Iterable[tuple[int, int]], *, fps: float = 1.0, height_px: int = 240
) -> Iterator[bytes]:
    """For each window of frames of a view (first, end exclusive) an animated WebP like that of `webp_preview`.

    The view is decoded once, as far as the last window, where no two overlap. `UnreadableError` (`no frames`) where a
    window has none; raises as `decode` does.
    """
    frames, at = decode(media), 0
    for start, end in windows:
        if start < at:
            frames, at = decode(media), 0
        shown = on_ticks(islice(frames, start - at, end - at), fps)
        pictures = (fit(f.rgb(_MOST_PX), _MOST_PX, height_px) for f, ticks in shown for _ in range(ticks))
        found = animated_webp(pictures, fps=fps)
        at = end
        yield found


def animated_webp(pictures: Iterable[Rgb], *, fps: float, quality: int = 50) -> bytes:
    """Pictures, `fps` of them a second, as an animated WebP that begins again for ever. They are taken one by one.

    `UnreadableError` (`no frames`) where there is none.
    """
    from PIL import Image

    images: Iterator[Image.Image] = map(Image.fromarray, pictures)
    first = next(images, None)
    if first is None:
        raise UnreadableError("no frames", "nothing to preview")
    size, out = first.size, io.BytesIO()
    rest = (image if image.size == size else image.resize(size) for image in images)
    first.save(
        out,
        format="WEBP",
        save_all=True,
        append_images=rest,
        duration=max(1, round(1000 / fps)),
        loop=0,
        quality=quality,
        method=4,
    )
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class Posters:
    """Some frames of a view in one JPEG, and the span of the view in seconds of the source."""

    jpeg: bytes
    width_px: int
    height_px: int
    start_s: float
    end_s: float


def posters(media: Media, *, count: int = 3, max_side_px: int = 160, quality: int = 75) -> Posters:
    """`count` frames of a view at (2 i + 1) ÷ (2 `count`) of its length (of three: 1/6, 1/2, 5/6), in their order:
    wide ones one below the other, high ones side by side.

    The longer side of each becomes at most `max_side_px`; small ones are not enlarged. Raises as `decode` does.
    """
    start_s, end_s = span_of(media)
    found = frames_at(media, spread_times(start_s, end_s, count))
    pictures = [fit(frame.rgb(max_side_px), max_side_px, max_side_px) for frame in found]
    height, width = (max(p.shape[side] for p in pictures) for side in (0, 1))
    side = 0 if width >= height else 1
    box = (width, height)
    parts = [_padded(p, *box) for p in pictures]
    strip = np.concatenate([_gap_after(part, side) for part in parts[:-1]] + parts[-1:], axis=side)
    jpeg = encode_jpeg(strip, quality=quality)
    return Posters(jpeg, strip.shape[1], strip.shape[0], start_s, end_s)


def span_of(media: Media) -> tuple[float, float]:
    """Where a view begins and ends, in seconds of its source. Raises as `probe` does where the source must tell."""
    start_s = max(0.0, media.start_s or 0.0)
    return start_s, probe(media).duration_s if media.end_s is None else media.end_s


def spread_times(start_s: float, end_s: float, count: int) -> list[float]:
    """The middles of `count` equal parts of a span."""
    length_s = end_s - start_s
    return [start_s + length_s * (2 * i + 1) / (2 * count) for i in range(count)]


def _padded(picture: Rgb, width: int, height: int) -> Rgb:
    if picture.shape[:2] == (height, width):
        return picture
    canvas = np.full((height, width, 3), _PAPER, np.uint8)
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas


def _gap_after(picture: Rgb, side: int) -> Rgb:
    gaps = [(0, 0), (0, 0), (0, 0)]
    gaps[side] = (0, _GAP_PX)
    return np.pad(picture, gaps, constant_values=_PAPER)
