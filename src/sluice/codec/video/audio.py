"""The sound of a view, in source time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
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
_UNNAMED, _NAMED_CHANNELS = "NONE", 8
_JITTER_S = 0.02  # containers round times (Matroska to milliseconds); only more than this is a gap


@dataclass(frozen=True, slots=True, eq=False)
class AudioBlock:
    """Some sound: `samples` float32 [n, channels], full scale −1…1, the first one at `time_s` of the source.

    `channels` are FFmpeg's names of them ("FL", "LFE", …). `missing`: so many of the samples are not in the source and
    stand as zeros.
    """

    time_s: float
    samples: NDArray[np.float32]
    sample_rate_hz: int
    channels: tuple[str, ...]
    missing: int = 0


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


def even_blocks(media: Media, *, sample_rate_hz: int, length_s: float) -> Iterator[AudioBlock]:
    """As `audio_blocks`, in blocks of equal length, each at a multiple of `length_s` of source time.

    Where a block is not filled by the source the rest of it is zeros, counted as `missing`; one without any sound is
    left out. Of sound that comes twice the first is taken.
    """
    size = round(length_s * sample_rate_hz)
    parts = _divided(audio_blocks(media, sample_rate_hz=sample_rate_hz), size)
    for number, group in groupby(parts, key=lambda part: part[0]):
        pieces = [(offset, piece) for _, offset, piece in group]
        like = pieces[0][1]
        samples = np.zeros((size, like.samples.shape[1]), np.float32)
        for offset, piece in pieces:
            samples[offset : offset + len(piece.samples)] = piece.samples
        missing = size - sum(len(piece.samples) for _, piece in pieces)
        yield replace(like, time_s=number * size / sample_rate_hz, samples=samples, missing=missing)


def _divided(blocks: Iterator[AudioBlock], size: int) -> Iterator[tuple[int, int, AudioBlock]]:
    """Pieces of blocks that do not cross a multiple of `size` samples: in which one of them, where in it, and what."""
    end: int | None = None  # the sample after the last one that was given
    for block in blocks:
        first = round(block.time_s * block.sample_rate_hz)
        at = first if end is None else max(first, end)
        past = first + len(block.samples)
        while at < past:
            number, offset = divmod(at, size)
            stop = min(past, at - offset + size)
            yield number, offset, replace(block, samples=block.samples[at - first : stop - first])
            at = end = stop


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
        return AudioBlock(time_s + first / self._rate, samples[first:last], self._rate, _channels(frame))

    def _time_s(self, frame: AudioFrame) -> float:
        said_s = frame.time
        if self._origin_s is None:
            self._origin_s = said_s or 0.0
        if said_s is None:
            return self._next_s or 0.0
        here_s = said_s - self._origin_s
        is_near = self._next_s is not None and abs(here_s - self._next_s) < _JITTER_S
        return cast(float, self._next_s) if is_near else here_s


def _channels(frame: AudioFrame) -> tuple[str, ...]:
    """The names of a frame's channels; where the container gives none, those that FFmpeg expects of so many."""
    from av import AudioLayout

    layout = frame.layout
    if layout.channels[0].name == _UNNAMED and layout.nb_channels <= _NAMED_CHANNELS:
        layout = AudioLayout(f"{layout.nb_channels}c")
    return tuple(channel.name for channel in layout.channels)
