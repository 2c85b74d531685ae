"""How coded pictures of an encoder and of a source are joined in one stream, so that each finds its parameter sets."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

from sluice.codec.video.clip import ClipSettings
from sluice.codec.video.encode import BITEXACT, copy_colours, encoding, x264_options
from sluice.codec.video.nal import (
    H264_IDR,
    H264_PPS,
    H264_SPS,
    HEVC_CRA,
    HEVC_END_OF_SEQUENCE,
    HEVC_ENTRIES,
    H264Config,
    HevcConfig,
    annex_b_units,
    h264_set_id,
    h264_type,
    hevc_type,
    prefixed,
    prefixed_units,
)
from sluice.errors import SampleError

if TYPE_CHECKING:
    from sluice.codec.video.passage import Packet

_GLOBAL_HEADER = 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER
_CHROMA = {(1, 1): 1, (1, 2): 2, (2, 2): 3}
"""chroma_format_idc (H.265, 6.2) by the size of the chroma of two by two pixels."""

_H264_PROFILES = {
    66: "baseline",
    77: "main",
    88: "main",
    100: "high",
    110: "high10",
    122: "high422",
    244: "high444",
}


class Splice(Protocol):
    """One source's way of joining."""

    tag: str
    """The sample entry of the joined track."""

    def encoder(self) -> Any:
        """An open encoder whose pictures can stand beside the source's."""
        ...

    def extradata(self) -> bytes:
        """The decoder configuration of the joined track."""
        ...

    def entry(self, packet: Packet) -> bool:
        """Whether decoding can begin at a key frame whatever came before it."""
        ...

    def open_entry(self, packet: Packet) -> bool:
        """Whether pictures that are shown before such a key frame may lean on ones before it."""
        ...

    def copied(self, packet: Packet) -> bytes:
        """A packet of the source as it stands in the joined track."""
        ...

    def encoded(self, packet: Packet) -> bytes:
        """A packet of the encoder as it stands in the joined track."""
        ...

    def ending(self) -> bytes:
        """What comes after the last encoded picture before a source's open entry."""
        ...


class H264Splice:
    """H.264: both sides' parameter sets stand in the sample entry, under ids that differ."""

    tag = "avc1"

    def __init__(self, video: Any, settings: ClipSettings) -> None:
        self._video, self._settings = video, settings
        extradata = video.codec_context.extradata or b""
        self._config = H264Config.parse(extradata)
        self._annex_b = extradata[:1] != b"\1"
        self._id = self._config.free_id()
        self._joined = self._config.joined(H264Config.parse(self.encoder().extradata or b""))

    def encoder(self) -> Any:
        """x264 without reordering, with the profile of the source."""
        params = [f"sps-id={self._id}:bframes=0:keyint=infinite:scenecut=0", *x264_options().values()]
        options = {"x264-params": ":".join(params)}
        profile = _H264_PROFILES.get(self._config.profile[0])
        if profile is not None:
            options["profile"] = profile
        return _context("libx264", self._video, self._settings, options)

    def extradata(self) -> bytes:
        """The source's configuration with the encoder's parameter sets."""
        return self._joined.box()

    def _units(self, packet: Packet) -> list[bytes]:
        data = bytes(packet)
        return annex_b_units(data) if self._annex_b else list(prefixed_units(data, self._config.length_size))

    def entry(self, packet: Packet) -> bool:
        """An IDR picture; an I picture with a recovery point does not do."""
        return any(unit and h264_type(unit) == H264_IDR for unit in self._units(packet))

    def open_entry(self, packet: Packet) -> bool:
        """Nothing leans over an IDR picture."""
        return False

    def copied(self, packet: Packet) -> bytes:
        """The packet as it is; start codes become lengths."""
        if packet.is_keyframe:
            for unit in self._units(packet):
                if unit and h264_type(unit) in (H264_SPS, H264_PPS) and h264_set_id(unit) == self._id:
                    raise ParameterSetError("the source takes all ids of parameter sets")
        return prefixed(self._units(packet), self._config.length_size) if self._annex_b else bytes(packet)

    def encoded(self, packet: Packet) -> bytes:
        """With lengths instead of start codes."""
        return prefixed(annex_b_units(bytes(packet)), self._config.length_size)

    def ending(self) -> bytes:
        """Nothing."""
        return b""


class HevcSplice:
    """HEVC: ids cannot be chosen in x265, so that every entry brings its parameter sets with it (`hev1`)."""

    tag = "hev1"

    def __init__(self, video: Any, settings: ClipSettings) -> None:
        self._video, self._settings = video, settings
        extradata, picture = video.codec_context.extradata or b"", video.codec_context.format
        chroma = _CHROMA.get((picture.chroma_width(2), picture.chroma_height(2)), 1) if picture else 1
        depth = picture.components[0].bits if picture else 8
        self._config = HevcConfig.parse(extradata, chroma, depth)
        self._annex_b = extradata[:1] != b"\1"

    def encoder(self) -> Any:
        """x265 without reordering, its parameter sets in band."""
        params = (
            f"log-level=none:pools=none:frame-threads={self._settings.threads}:bframes=0:keyint=-1:scenecut=0"
        )
        params += ":open-gop=0:repeat-headers=1:info=0"
        return _context("libx265", self._video, self._settings, {"x265-params": params}, global_header=False)

    def extradata(self) -> bytes:
        """The source's."""
        return self._config.box()

    def _units(self, packet: Packet) -> list[bytes]:
        data = bytes(packet)
        return annex_b_units(data) if self._annex_b else list(prefixed_units(data, self._config.length_size))

    def entry(self, packet: Packet) -> bool:
        """An IDR, BLA or CRA picture."""
        return any(unit and hevc_type(unit) in HEVC_ENTRIES for unit in self._units(packet))

    def open_entry(self, packet: Packet) -> bool:
        """A CRA picture."""
        return any(unit and hevc_type(unit) == HEVC_CRA for unit in self._units(packet))

    def copied(self, packet: Packet) -> bytes:
        """With the source's parameter sets before a key frame, as a seek may come from another part."""
        if not packet.is_keyframe and not self._annex_b:
            return bytes(packet)
        units = self._units(packet)
        own = {hevc_type(unit) for unit in units if unit}
        sets = [s for s in self._config.sets if packet.is_keyframe and hevc_type(s) not in own]
        return prefixed([*sets, *units], self._config.length_size)

    def encoded(self, packet: Packet) -> bytes:
        """With lengths instead of start codes."""
        return prefixed(annex_b_units(bytes(packet)), self._config.length_size)

    def ending(self) -> bytes:
        """The end of a sequence, so that a CRA picture begins a new one."""
        return prefixed([HEVC_END_OF_SEQUENCE], self._config.length_size)


class IntraSplice:
    """Codecs of which every picture stands alone: nothing ever has to be encoded."""

    def __init__(self, video: Any, settings: ClipSettings) -> None:
        self._extradata = video.codec_context.extradata or b""
        self.tag = ""

    def encoder(self) -> Any:
        """There is none."""
        raise ParameterSetError("pictures that do not stand alone")

    def extradata(self) -> bytes:
        """The source's."""
        return bytes(self._extradata)

    def entry(self, packet: Packet) -> bool:
        """Every picture is one."""
        return True

    def open_entry(self, packet: Packet) -> bool:
        """No picture leans on another."""
        return False

    def copied(self, packet: Packet) -> bytes:
        """The packet as it is."""
        return bytes(packet)

    def encoded(self, packet: Packet) -> bytes:
        """There are none."""
        return bytes(packet)

    def ending(self) -> bytes:
        """Nothing."""
        return b""


class ParameterSetError(Exception):
    """The two sides cannot stand in one stream, and why."""


SPLICES: dict[str, type[H264Splice | HevcSplice | IntraSplice]] = {
    "h264": H264Splice,
    "hevc": HevcSplice,
    "mjpeg": IntraSplice,
}
"""How to join, by codec."""


def splice_for(video: Any, settings: ClipSettings) -> Splice | str:
    """How pictures are joined with this stream's; why they cannot be, where they cannot."""
    codec: str = video.codec_context.codec.canonical_name
    kind = SPLICES.get(codec)
    if kind is None:
        return f"smart cutting is for H.264 and HEVC, not {codec}"
    try:
        return kind(video, settings)
    except SampleError as error:
        return f"{error.reason}: {error.what}"


def _context(
    name: str, video: Any, settings: ClipSettings, options: dict[str, str], *, global_header: bool = True
) -> Any:
    import av

    context: Any = av.CodecContext.create(name, "w")
    source = video.codec_context
    context.width, context.height, context.pix_fmt = source.width, source.height, source.pix_fmt
    context.time_base = video.time_base
    context.framerate = video.average_rate or video.guessed_rate or Fraction(25)
    if video.sample_aspect_ratio:
        context.sample_aspect_ratio = video.sample_aspect_ratio
    context.thread_count = settings.threads
    context.flags |= BITEXACT | (_GLOBAL_HEADER if global_header else 0)
    copy_colours(context, source)
    preset = settings.preset if settings.codec == name and settings.preset else "veryfast"
    context.options = {"preset": preset, "crf": f"{settings.crf:g}", **options}
    with encoding():
        context.open()
    return context
