"""The sound of a view, in source time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from sluice.codec.video.container import located, opened
from sluice.codec.video.reader import Reader
from sluice.errors import UnreadableError
from sluice.sample.media import Media

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container.input import InputContainer

_PREROLL_S = (
    0.25  # decoders need some packets to come to themselves: MP3's reservoir, the overlap of AAC and Opus
)
_JITTER_S = 0.02  # containers round times (Matroska to milliseconds); only more than this is a gap


@dataclass(frozen=True, slots=True, eq=False)
class AudioBlock:
    """Some sound: `samples` float32 [n, channels], full scale −1…1, the first one at `time_s` of the source."""

    time_s: float
    samples: NDArray[np.float32]
    sample_rate_hz: int


def audio_blocks(media: Media, *, sample_rate_hz: int | None = None) -> Iterator[AudioBlock]:
    """The view's sound in order, cut to its span to the sample; nothing where it has none.

    Time 0 is the video's first frame, so that sound may begin before it; of a source without pictures the first
    sample. Blocks are as long as the codec's; where sound is missing `time_s` leaps. `sample_rate_hz` resamples; None
    keeps the stream's rate. Raises UnreadableError: `corrupt`, `truncated`, `unsupported codec`, `sound changes` (its
    rate or channels do within the stream).
    """
    origin_s = _origin_s(media)
    with opened(media) as source:
        stream = source.audio
        if stream is None:
            return
        if stream.codec_context is None:
            raise UnreadableError("unsupported codec", "FFmpeg has no decoder for its sound")
        if media.start_s is not None and source.is_seekable:
            goal = (media.start_s + (origin_s or 0.0) - _PREROLL_S) / float(stream.time_base or 1)
            with located():
                source.container.seek(int(goal), stream=stream)
        rate = sample_rate_hz or stream.codec_context.sample_rate
        track = _Track(origin_s, rate, media)
        for frame in _resampled(source.container, stream, rate):
            block = track.block(frame)
            if block is not None:
                yield block
            if track.is_over:
                return


def _origin_s(media: Media) -> float | None:
    """The time of the first picture in the container's time; None where there are but sounds."""
    with opened(media) as source:
        if source.video is None or source.audio is None:
            return None
        reader = Reader(source)
        return float(reader.first[1] * reader.time_base)


def _resampled(container: InputContainer, stream: Any, rate: int) -> Iterator[AudioFrame]:
    from av.audio.resampler import AudioResampler

    resampler = AudioResampler(format="flt", rate=rate)
    packets = container.demux(stream)
    while True:
        with located():
            packet = next(packets, None)
            frames = packet.decode() if packet is not None else [None]
        for frame in frames:
            try:
                with located():
                    made = resampler.resample(cast("AudioFrame", frame))
            except ValueError as error:
                raise UnreadableError("sound changes", str(error)) from error
            yield from made
        if packet is None:
            return


class _Track:
    """Puts samples on the time line, and cuts them to the view's span."""

    def __init__(self, origin_s: float | None, rate: int, media: Media) -> None:
        self._origin_s, self._rate = origin_s, rate
        self._start_s, self._end_s = media.start_s, media.end_s
        self._next_s: float | None = None
        self.is_over = False

    def block(self, frame: AudioFrame) -> AudioBlock | None:
        """A frame's samples that lie in the span."""
        samples = cast(NDArray[np.float32], frame.to_ndarray()).reshape(-1, frame.layout.nb_channels)
        time_s = self._time_s(frame)
        self._next_s = time_s + len(samples) / self._rate
        first, last = 0, len(samples)
        if self._start_s is not None:
            first = max(0, round((self._start_s - time_s) * self._rate))
        if self._end_s is not None:
            last = min(last, round((self._end_s - time_s) * self._rate))
            self.is_over = self._next_s >= self._end_s
        if last <= first:
            return None
        return AudioBlock(time_s + first / self._rate, samples[first:last], self._rate)

    def _time_s(self, frame: AudioFrame) -> float:
        said_s = frame.time
        if self._origin_s is None:
            self._origin_s = said_s or 0.0
        if said_s is None:
            return self._next_s or 0.0
        here_s = said_s - self._origin_s
        is_near = self._next_s is not None and abs(here_s - self._next_s) < _JITTER_S
        return cast(float, self._next_s) if is_near else here_s
