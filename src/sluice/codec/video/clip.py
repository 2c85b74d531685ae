"""What cutting clips out of a source is asked for, and what each clip came to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from sluice.codec.video.container import first_tick
from sluice.sample.media import Crop, Media
from sluice.storage import locate

Mode = Literal["transcode", "smart", "copy"]
Audio = Literal["copy", "aac", "drop"]

MIN_CROP_PX = 64
"""Crops narrower or lower than this are refused: what is left is no picture to learn from."""


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """One clip that is wanted: frames with `start_s` ≤ t < `end_s` of source time, None for the source's ends.

    `crop` is left, top, width, height in pixels of the picture as displayed (rotation applied, sample aspect not).
    """

    start_s: float | None = None
    end_s: float | None = None
    crop: Crop | None = None


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """How clips are written.

    `mode`: `transcode` encodes every frame; `smart` copies whole groups of pictures and encodes only what the span
    cuts off them; `copy` copies from the key frame at or before the start. `codec` names an encoder (`libx264`,
    `libx265`, `libsvtav1`, `libvpx-vp9`, `h264_nvenc`, …), `crf` is its constant quality and `preset` its speed,
    None for a default of the encoder (`libx264`: `veryfast`). `bitrate` in bits per second takes the place of `crf`;
    `match` keeps the source's bits per pixel. `audio` is copied (or encoded to AAC where MP4 cannot hold it),
    encoded to `aac`, or dropped. `pixel_format` is what pictures are encoded in; `source` keeps the source's.
    `threads` of one encoder: output bytes may depend on it, so that it is a number and not the machine's.
    """

    mode: Mode = "transcode"
    codec: str = "libx264"
    crf: float = 20.0
    preset: str | None = None
    bitrate: int | Literal["match"] | None = None
    audio: Audio = "copy"
    pixel_format: str = "yuv420p"
    threads: int = 1


@dataclass(slots=True)
class CutWork:
    """What passes over a source did: packets given to the decoder, frames that came out, frames encoded, seeks.

    The frames are all that were decoded: those of the clips, those before a clip from its key frame on, and the
    source's first, which tells where time begins.
    """

    packets_decoded: int = 0
    frames_decoded: int = 0
    frames_encoded: int = 0
    seeks: int = 0


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is told of a clip's source: its pictures as stored, frames per second (average), codec, bits per second."""

    width_px: int
    height_px: int
    fps: float
    video_codec: str
    bitrate_bps: int | None


@dataclass(frozen=True, slots=True)
class ClipFile:
    """A clip that was written and checked; its bytes lie in `path` until the caller has taken `chunks()`.

    Of a small copy, which is in memory, and of a whole file that is taken as it is (`is_source`) there is no `path`.
    `media` is where the bytes lie in any case.

    `start_s`, `end_s`, `first_pts` and `last_pts` are the true ones, in the source's time; `end_s` is where the last
    frame's display ends. `mode_used` and `fallback_reason` tell where `smart` or `copy` had to encode after all.
    """

    span: ClipSpan
    path: Path | None
    mode_used: Mode
    fallback_reason: str | None
    start_s: float
    end_s: float
    first_pts: int
    last_pts: int
    width_px: int
    height_px: int
    frame_count: int
    copied_frame_count: int
    duration_s: float
    fps: float
    video_codec: str
    pixel_format: str
    audio_codec: str | None
    size_bytes: int
    source: SourceFacts
    media: Media
    is_source: bool = False

    def chunks(self, chunk_bytes: int = 1 << 18) -> Iterator[bytes]:
        """The file's bytes, its index before its media, so that players can begin before they have it all."""
        from sluice.codec.video.boxes import index_first

        if self.is_source:
            yield from media_chunks(self.media, chunk_bytes)
            return
        with self.media.open() if self.path is None else self.path.open("rb") as file:
            yield from index_first(file, chunk_bytes)


@dataclass(frozen=True, slots=True)
class ClipFailure:
    """A clip that could not be written: a short stable `reason`, and `detail` for people."""

    span: ClipSpan
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PtsSpan:
    """A span in ticks of the video stream: `start` ≤ pts < `end`; None for the source's ends."""

    start: int | None
    end: int | None

    def holds(self, pts: int) -> bool:
        """Whether a frame with this PTS belongs to the span."""
        return (self.start is None or pts >= self.start) and (self.end is None or pts < self.end)


def in_pts(span: ClipSpan, first_pts: int, time_base: Fraction) -> PtsSpan:
    """The span in PTS. A frame within a microsecond of a bound counts as on it."""
    bounds = (None if t is None else first_pts + first_tick(t, time_base) for t in (span.start_s, span.end_s))
    return PtsSpan(*bounds)


def media_chunks(media: Media, chunk_bytes: int) -> Iterator[bytes]:
    """The bytes of a whole source, a piece at a time."""
    if media.data is not None or media.size is None:
        yield media.read()
        return
    start, place = media.offset or 0, locate(media.uri)
    for at in range(0, media.size, chunk_bytes):
        yield place.read_range(start + at, min(chunk_bytes, media.size - at))
