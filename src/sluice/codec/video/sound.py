"""The sound of a clip: its packets copied where MP4 holds them, else encoded to AAC."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sluice.codec.video.clip import Audio
from sluice.codec.video.container import located
from sluice.codec.video.encode import BITEXACT, encoding
from sluice.errors import UnreadableError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

    from sluice.codec.video.passage import CodedSound, Packet

AAC_BPS_PER_CHANNEL = 64_000
"""Transparent for most listeners: 128 kb/s for two channels (FFmpeg's own default for AAC)."""

_AAC_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_GAP_S = (
    0.05  # sound that is less out of place than a lip-reader notices (ITU-R BT.1359: 45 ms) is left as it is
)

# FFmpeg's muxer takes more (Vorbis, some PCM), but hardly any reader of MP4 knows them.
_COPIED = ("aac", "mp3", "mp3float", "ac3", "eac3", "opus", "libopus", "flac", "alac")


@cache
def _mp4_holds(codec: str) -> bool:
    return codec in _COPIED


def copies(audio: Any, wanted: Audio) -> bool:
    """Whether the packets of this stream are taken as they are."""
    return wanted == "copy" and _mp4_holds(audio.codec_context.name)


class CopiedSound:
    """Copies packets between `start` and `end` (seconds of the container).

    The first covers the clip's start; what lies before it is cut off by the edit list.
    """

    def __init__(self, container: Any, audio: Any, start: Fraction, end: Fraction) -> None:
        self.codec: str = audio.codec_context.codec.canonical_name
        self._stream = container.add_stream_from_template(audio, opaque=True)
        self._mux, self._time_base = container.mux_one, audio.time_base
        self._rescales: bool | None = None  # not known before the file's header is written
        self._origin = round(start / audio.time_base)
        self._start, self._end = floor(start / audio.time_base), ceil(end / audio.time_base)

    def take(self, run: Sequence[CodedSound]) -> None:
        """Copy packets that sound between the clip's start and its end; their own times are the clip's then."""
        start, end, origin, stream = self._start, self._end, self._origin, self._stream
        for packet, pts, ticks in run:
            if pts >= end or pts + ticks <= start:
                continue
            packet.pts = packet.dts = pts - origin
            packet.stream = stream
            if self._rescales is not False:
                packet.duration, packet.time_base = ticks, self._time_base
            self._mux(packet)
            if self._rescales is None:
                self._rescales = stream.time_base != self._time_base

    def finish(self) -> None:
        """Nothing is held back."""


class EncodedSound:
    """Cuts decoded sound to the sample, between `start` and `end` (seconds of the container), and encodes it to AAC."""

    codec = "aac"

    def __init__(self, container: Any, audio: Any, start: Fraction, end: Fraction) -> None:
        import av

        self._mux, self._start, self._end = container.mux_one, start, end
        source = audio.codec_context
        self._rate: int = source.sample_rate if source.sample_rate in _AAC_RATES_HZ else 48_000
        layout = "mono" if source.layout.nb_channels == 1 else "stereo"
        self._stream = container.add_stream("aac", rate=self._rate)
        context = self._stream.codec_context
        context.layout = layout
        self._channels: int = context.layout.nb_channels
        context.bit_rate = AAC_BPS_PER_CHANNEL * self._channels
        context.flags |= BITEXACT
        context.open()
        self._resampler = av.AudioResampler("fltp", layout, self._rate)
        self._fifo = av.AudioFifo()
        self._layout, self._given, self._ended = layout, 0, False

    def take(self, frames: Sequence[AudioFrame]) -> None:
        """Encode frames of the source's sound, as far as they are between the clip's start and its end."""
        for frame in frames:
            for packet in self._packets(frame, self._start, self._end):
                self._mux(packet)

    def _packets(self, frame: AudioFrame, start: Fraction, end: Fraction) -> Iterator[Packet]:
        if frame.pts is None or frame.time_base is None or self._ended:
            return
        begins = frame.pts * frame.time_base
        if begins + Fraction(frame.samples, frame.sample_rate) <= start:
            return
        wanted = round((end - start) * self._rate)
        at = round((begins - start) * self._rate)
        if at - self._given > self._rate * _GAP_S:
            yield from self._give(np.zeros((self._channels, at - self._given), np.float32), wanted)
        late = max(0, self._given - at)
        for part in self._resampler.resample(frame):
            samples: Any = part.to_ndarray()
            cut, late = min(late, samples.shape[1]), max(0, late - samples.shape[1])
            # Within a few samples of where it should go on, sound is left in one piece.
            yield from self._give(
                samples[:, cut if cut > self._rate * _GAP_S or not self._given else 0 :], wanted
            )

    def _give(self, samples: NDArray[np.float32], wanted: int) -> Iterator[Packet]:
        import av

        samples = samples[:, : max(0, wanted - self._given)]
        if samples.shape[1]:
            part = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", self._layout)
            part.sample_rate = self._rate
            part.pts, part.time_base = self._given, Fraction(1, self._rate)
            self._given += samples.shape[1]
            self._fifo.write(part)
            yield from self._encode(partial=False)
        self._ended = self._given >= wanted

    def _encode(self, *, partial: bool) -> Iterator[Packet]:
        size = self._stream.codec_context.frame_size or 1024
        while self._fifo.samples >= size or (partial and self._fifo.samples):
            frame = self._fifo.read(size, partial)
            if frame is None:
                return
            with encoding():
                yield from self._stream.encode(frame)

    def finish(self) -> None:
        """Encode what is left."""
        for packet in self._encode(partial=True):
            self._mux(packet)
        with encoding():
            packets = self._stream.encode(None)
        for packet in packets:
            self._mux(packet)


class SoundDecoder:
    """Decodes the sound of a passage for the clips that encode it; packets that cannot be decoded are passed over."""

    def __init__(self, audio: Any) -> None:
        self._context = audio.codec_context

    def __call__(self, packet: Packet) -> list[AudioFrame]:
        """The frames that come out on a packet."""
        try:
            with located():
                frames: list[AudioFrame] = self._context.decode(packet)
        except UnreadableError:
            return []
        return frames
