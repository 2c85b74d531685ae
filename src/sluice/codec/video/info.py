"""What is known of a video before its pictures: sizes, time, streams."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from sluice.codec.limits import current_limits
from sluice.codec.video.container import Source, located, opened, seconds
from sluice.codec.video.reader import Reader, sample_aspect_ratio
from sluice.errors import UnreadableError
from sluice.sample.media import Crop, Media

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_HDR_TRANSFERS = frozenset({16, 18})  # PQ (SMPTE ST 2084), HLG (ARIB STD-B67), by ITU-T H.273


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """A video's sound. `duration_s` is None where the container does not tell."""

    codec: str
    sample_rate_hz: int
    channels: int
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a source video.

    `container` and `codec` by FFmpeg's names ("mp4", "matroska", …; "h264", "av1", …). `stored_width_px` and
    `stored_height_px` are of the coded picture, `width_px` and `height_px` of the one shown: pixels made square (the
    width is scaled), then turned clockwise by `rotation_deg`. `duration_s`: from the first frame's beginning to the
    last one's end. `first_pts`: PTS of the first frame, the origin of source time, in `time_base`. `fps`: frames by
    duration. `frame_count`: None where only decoding would tell. `bitrate_bps`: of the video stream. `is_hdr`: its
    transfer is PQ or HLG. `audio`: None where it has no sound.
    """

    container: str
    codec: str
    pix_fmt: str
    bit_depth: int
    stored_width_px: int
    stored_height_px: int
    width_px: int
    height_px: int
    rotation_deg: int
    sample_aspect_ratio: Fraction
    duration_s: float
    first_pts: int
    time_base: Fraction
    fps: float
    frame_count: int | None
    bitrate_bps: int | None
    is_hdr: bool
    has_audio: bool
    audio: AudioInfo | None

    @property
    def turned_size(self) -> tuple[int, int]:
        """Width and height of the picture that crops lie in: turned, its pixels not made square."""
        size = self.stored_width_px, self.stored_height_px
        return size[::-1] if self.rotation_deg in (90, 270) else size

    def shown_size(self, crop: Crop | None) -> tuple[int, int]:
        """Width and height of what a view shows: turned, cropped, of square pixels."""
        if crop is None:
            return self.width_px, self.height_px
        wide, high = crop[2:]
        if self.rotation_deg in (90, 270):
            return wide, max(1, round(high * self.sample_aspect_ratio))
        return max(1, round(wide * self.sample_aspect_ratio)), high


@dataclass(frozen=True, slots=True)
class _Extent:
    """What the packets of a stream come to: PTS of the last frame's end, frames, bits a second."""

    end_pts: int
    frames: int
    bitrate_bps: int | None


def probe(media: Media) -> VideoInfo:
    """What is known of the whole source behind a view (its span and crop are ignored).

    Decodes the first picture, which alone tells where time begins and how pictures are turned. An MP4's index tells
    the rest, with its last packets; of other containers all packets are read (not decoded). Raises as `decode` does,
    and UnreadableError with the reason `zero duration`.
    """
    with opened(media) as source:
        reader = Reader(source)
        image, first_pts = reader.first
        extent = _indexed(source, reader) or _scanned(media, reader)
        return _info(media, source, reader, image, first_pts, extent)


_TAIL_PACKETS = 64  # the last picture shown is among them: codecs reorder by 16 pictures at most


def _indexed(source: Source, reader: Reader) -> _Extent | None:
    """By the index of every sample that MP4 has; None where it is not complete (fragments)."""
    stream = reader.stream
    entries = stream.index_entries
    count = len(entries)
    if not source.is_iso or count == 0 or count != stream.frames:
        return None
    current_limits().check_video_length(0.0, count)
    shown = sum(not entry.is_discard for entry in entries)
    with located():
        source.container.seek(entries[max(0, count - _TAIL_PACKETS)].timestamp, any_frame=True, stream=stream)
    end, _, _ = reader.extent()
    if end is None or len(stream.index_entries) != count:
        return None
    return _Extent(end, shown, stream.codec_context.bit_rate or None)


def _scanned(media: Media, reader: Reader) -> _Extent:
    """By reading every packet, on a file of its own: not every container can be put back to its start."""
    with opened(media) as source:
        again = Reader(source)
        end, frames, size_bytes = again.extent()
    if end is None:
        raise UnreadableError("no frames", "its video stream has no packets")
    length_s = seconds(end - reader.first[1], reader.time_base)
    return _Extent(end, frames, round(size_bytes * 8 / length_s) if length_s > 0 else None)


def _info(
    media: Media, source: Source, reader: Reader, image: VideoFrame, first_pts: int, extent: _Extent
) -> VideoInfo:
    context: Any = reader.stream.codec_context
    duration_s = seconds(extent.end_pts - first_pts, reader.time_base)
    if duration_s <= 0:
        raise UnreadableError("zero duration", "its last frame ends where its first begins")
    current_limits().check_video_length(duration_s, extent.frames)
    look = reader.look(None)
    width, height = look.shown_size(image.width, image.height)
    return VideoInfo(
        container=_container(media, source),
        codec=context.codec.canonical_name,
        pix_fmt=image.format.name,
        bit_depth=image.format.components[0].bits,
        stored_width_px=image.width,
        stored_height_px=image.height,
        width_px=width,
        height_px=height,
        rotation_deg=look.orientation.rotation_deg,
        sample_aspect_ratio=sample_aspect_ratio(reader.stream),
        duration_s=duration_s,
        first_pts=first_pts,
        time_base=reader.time_base,
        fps=extent.frames / duration_s,
        frame_count=extent.frames,
        bitrate_bps=extent.bitrate_bps,
        is_hdr=image.color_trc in _HDR_TRANSFERS,
        has_audio=source.audio is not None,
        audio=_audio(source),
    )


def _container(media: Media, source: Source) -> str:
    name = source.container.format.name
    if name.startswith("mov,"):
        brand = source.container.metadata.get("major_brand", "").strip().lower()
        if brand.startswith(("3gp", "3g2")):
            return "3gp"
        return "mov" if brand == "qt" or not brand else "mp4"
    if name.startswith("matroska"):
        return "webm" if b"webm" in media.head(64) else "matroska"
    return name


def _audio(source: Source) -> AudioInfo | None:
    stream = source.audio
    if stream is None:
        return None
    context: Any = stream.codec_context
    length = stream.duration
    return AudioInfo(
        codec=context.codec.canonical_name if context is not None else "unknown",
        sample_rate_hz=context.sample_rate if context is not None else 0,
        channels=context.channels if context is not None else 0,
        duration_s=seconds(length, stream.time_base) if length and stream.time_base else None,
    )
