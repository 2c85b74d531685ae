"""Pictures to coded pictures: the encoder of a clip, and the shape that it gives its frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

from sluice.codec.video.clip import MIN_CROP_PX, ClipSettings
from sluice.codec.video.orientation import Orientation, orientation
from sluice.errors import MissingError, UnreadableError, UsageError
from sluice.sample.media import Crop

if TYPE_CHECKING:
    from av.packet import Packet as _Packet
    from av.video.frame import VideoFrame

    Packet = _Packet[Any]

_OPTIONS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "veryfast"},
    "libsvtav1": {"preset": "8"},
    "libvpx-vp9": {"deadline": "good", "cpu-used": "4"},
    "libaom-av1": {"cpu-used": "6"},
    "h264_nvenc": {"preset": "p4", "rc": "vbr"},
    "hevc_nvenc": {"preset": "p4", "rc": "vbr"},
    "av1_nvenc": {"preset": "p4", "rc": "vbr"},
}
"""What an encoder is opened with where the settings do not say; the presets are their makers' middle ones."""

BITEXACT = 1 << 23
"""AV_CODEC_FLAG_BITEXACT: no versions in what is written."""

_AVX_512F = 13  # CV_CPU_AVX_512F

_DEVICES = ("_nvenc", "_vaapi", "_qsv", "_amf", "_videotoolbox")
_PRESET_OPTION = {"libvpx-vp9": "cpu-used", "libaom-av1": "cpu-used"}


@dataclass(frozen=True, slots=True)
class Shape:
    """How a source's pictures become those of a clip: turned upright, cropped, scaled to square pixels, made even.

    `scale` is the size after cropping where it is not kept, `even` the size in the end.
    """

    orientation: Orientation
    crop: Crop | None
    scale: tuple[int, int] | None
    even: tuple[int, int]

    @property
    def plain(self) -> bool:
        """Whether pictures keep their pixels."""
        return self.orientation.is_upright and self.crop is None and self.scale is None

    def filters(self) -> list[tuple[str, str]]:
        """The same as filters of FFmpeg, in order."""
        turn = {
            90: [("transpose", "clock")],
            180: [("hflip", ""), ("vflip", "")],
            270: [("transpose", "cclock")],
        }
        found = [("hflip", "")] if self.orientation.mirrored else []
        found += turn.get(self.orientation.rotation_deg, [])
        if self.crop is not None:
            left, top, width, height = self.crop
            found.append(("crop", f"{width}:{height}:{left}:{top}:exact=1"))
        if self.scale is not None:
            found.append(("scale", f"{self.scale[0]}:{self.scale[1]}:flags=bicubic+accurate_rnd"))
        return found


def shape_of(frame: VideoFrame, sar: Fraction, crop: Crop | None) -> Shape:
    """The shape for frames like this one. `UnreadableError` for a crop that is none."""
    turn = orientation(frame)
    width_px, height_px = turn.shown_size(frame.width, frame.height)
    if turn.swaps:
        sar = 1 / sar
    left, top, width, height = crop or (0, 0, width_px, height_px)
    if crop is not None:
        if left < 0 or top < 0 or left + width > width_px or top + height > height_px:
            raise UnreadableError("crop outside the picture", f"{crop} of {width_px} x {height_px}")
        if min(width, height) < MIN_CROP_PX:
            raise UnreadableError("crop under 64 px", f"{width} x {height}")
    square = max(2, round(width * sar / 2) * 2)
    scale = (
        (square, max(2, height - height % 2)) if abs(square - width) > 1 or min(width, height) < 2 else None
    )
    even = scale or (width - width % 2, height - height % 2)
    if scale is None and even != (width, height):
        width, height = even
    kept = (left, top, width, height)
    whole = kept == (0, 0, width_px, height_px)
    return Shape(turn, None if whole else kept, scale, even)


class Shaper:
    """Gives frames their shape and pixel format; frames that have both pass untouched."""

    def __init__(self, shape: Shape, pixel_format: str) -> None:
        self._shape, self._pixel_format = shape, pixel_format
        self._graph: Any = None
        self._made_for: tuple[Any, ...] | None = None

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """The frame as it is encoded; its PTS stays."""
        size = (frame.width, frame.height)
        if self._shape.plain and frame.format.name == self._pixel_format and size == self._shape.even:
            return frame
        made_for = (*size, frame.format.name, frame.colorspace, frame.color_range)
        if made_for != self._made_for:
            self._graph, self._made_for = self._build(frame), made_for
        self._graph.push(frame)
        shaped: VideoFrame = self._graph.pull()
        return shaped

    def _build(self, frame: VideoFrame) -> Any:
        import av.filter

        graph = av.filter.Graph()
        graph.threads = 1
        size: dict[str, Any] = {"width": frame.width, "height": frame.height}
        nodes = [graph.add_buffer(**size, format=frame.format, time_base=frame.time_base)]
        filters = self._shape.filters()
        if self._made_for is not None:  # a stream that changes its size midway: everything to the first one's
            filters.append(("scale", f"{self._shape.even[0]}:{self._shape.even[1]}"))
        filters.append(("format", self._pixel_format))
        nodes += [graph.add(name, given) if given else graph.add(name) for name, given in filters]
        nodes.append(graph.add("buffersink"))
        graph.link_nodes(*nodes).configure()
        return graph


class PictureEncoder:
    """One clip's encoder, made for its first frame and added to `container` as a stream."""

    def __init__(
        self,
        container: Any,
        first: VideoFrame,
        shape: Shape,
        settings: ClipSettings,
        *,
        rate: Fraction,
        time_base: Fraction,
        bitrate_bps: int | None = None,
        options: dict[str, str] | None = None,
    ) -> None:
        pixel_format = encoded_format(first.format.name, settings)
        self.shape, self._shaper = shape, Shaper(shape, pixel_format)
        stream = container.add_stream(settings.codec, rate=rate)
        self.stream, context = stream, stream.codec_context
        self._time_base = time_base  # the stream's own is another once the header is written
        context.width, context.height = shape.even
        context.pix_fmt = pixel_format
        context.time_base = stream.time_base = time_base
        context.sample_aspect_ratio = Fraction(1)
        context.thread_count = settings.threads
        context.flags |= BITEXACT
        copy_colours(context, first)
        context.options = encoder_options(settings, bitrate_bps) | (options or {})
        if bitrate_bps is not None:
            context.bit_rate = bitrate_bps
        with encoding():
            context.open()

    def encode(self, frame: VideoFrame, pts: int, duration: int) -> Iterator[Packet]:
        """The packets that come out on a frame, which is shown at `pts` of the clip."""
        shaped = self._shaper(frame)
        shaped.pts, shaped.time_base = pts, self._time_base
        shaped.duration = duration
        shaped.pict_type = 0  # else it tells the encoder which type to use
        with encoding():
            yield from self.stream.encode(shaped)

    def flush(self) -> Iterator[Packet]:
        """The packets that are left."""
        with encoding():
            yield from self.stream.encode(None)


def encoded_format(source: str, settings: ClipSettings) -> str:
    """The pixel format that pictures of the source's are encoded in. JPEG's full range stays what it is."""
    if settings.pixel_format == "source":
        return source
    if settings.pixel_format == "yuv420p" and source == "yuvj420p" and settings.codec == "libx264":
        return source
    return settings.pixel_format


def check_settings(settings: ClipSettings) -> None:
    """Refuse settings with which nothing could be written, before anything is.

    `MissingError` where this machine has no such encoder (or no device for it), `UsageError` where it does not know
    the preset, has no constant quality, or encodes no pictures.
    """
    import av.codec
    from av.error import FFmpegError

    name = settings.codec
    try:
        codec = av.codec.Codec(name, "w")
    except ValueError as error:
        fix = "use libx264, or install an `av` that is built with it"
        raise MissingError(f"there is no encoder {name!r} here", fix=fix) from error
    if codec.type != "video":
        raise UsageError(f"{name!r} encodes no pictures", fix="use libx264, libx265, libsvtav1 or libvpx-vp9")
    context: Any = av.codec.CodecContext.create(codec, "w")
    context.width, context.height, context.framerate = 256, 256, Fraction(25)
    context.pix_fmt = "yuv420p" if settings.pixel_format == "source" else settings.pixel_format
    context.thread_count = settings.threads
    bitrate_bps = 1_000_000 if settings.bitrate is not None else None
    asked = encoder_options(settings, bitrate_bps)
    context.options = dict(asked)
    try:
        context.open()
    except FFmpegError as error:
        if name.endswith(_DEVICES):
            fix = "use libx264, or a machine with such a device"
            raise MissingError(f"the encoder {name!r} has no device here: {error}", fix=fix) from error
        fix = "look at codec, preset, crf and pixel_format"
        raise UsageError(f"{name} cannot be opened with these settings: {error}", fix=fix) from error
    if context.options.keys() & {"crf", "cq"}:
        raise UsageError(f"{name} has no constant quality", fix="set a `bitrate`")


def encoder_options(settings: ClipSettings, bitrate_bps: int | None) -> dict[str, str]:
    """The encoder's private options for these settings."""
    name, found = settings.codec, dict(_OPTIONS.get(settings.codec, {}))
    if settings.preset is not None:
        found[_PRESET_OPTION.get(name, "preset")] = settings.preset
    if bitrate_bps is None:
        found["cq" if name.endswith("_nvenc") else "crf"] = f"{settings.crf:g}"
    if name == "libx264":
        found |= x264_options()
    elif name == "libx265":
        found["x265-params"] = f"log-level=none:pools=none:frame-threads={settings.threads}"
    elif name == "libsvtav1":
        found["svtav1-params"] = f"lp={settings.threads}"
    return found


@cache
def x264_options() -> dict[str, str]:
    """What x264 has to be told so that the same pictures make the same bytes whenever they are encoded.

    Its macroblock tree reads memory that nobody wrote where it uses AVX-512 (core 165, B-frames, presets from
    `veryfast` on); with AVX2 it does not, and is as fast.
    """
    import cv2

    return {"x264-params": "asm=AVX2"} if cv2.checkHardwareSupport(_AVX_512F) else {}


def copy_colours(context: Any, frame: Any) -> None:
    """Have pictures coded with the colours that a frame or a stream says it has."""
    context.color_range = frame.color_range
    context.colorspace = frame.colorspace
    context.color_primaries = frame.color_primaries
    context.color_trc = frame.color_trc


class encoding:  # noqa: N801 - reads as a word where it is used
    """Turns what FFmpeg says while encoding into `UnreadableError` ("cannot be encoded")."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from av.error import FFmpegError

        if isinstance(error, FFmpegError):
            raise UnreadableError("cannot be encoded", str(error)) from error
