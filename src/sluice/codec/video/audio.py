"""The sound of a view, in source time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sluice.codec.video.container import located, opened
from sluice.codec.video.decode import Reader
from sluice.sample.media import Media


@dataclass(frozen=True, slots=True, eq=False)
class AudioBlock:
    """Some sound: `samples` float32 [n, channels], full scale -1…1, the first one at `time_s` of the source."""

    time_s: float
    samples: NDArray[np.float32]
    sample_rate_hz: int


def audio_blocks(media: Media, *, sample_rate_hz: int | None = None) -> Iterator[AudioBlock]:
    """The view's sound in order, cut to its span to the sample; nothing where it has none.

    Time 0 is the video's first frame (sound may begin before it); of a source without pictures, its first sample.
    `sample_rate_hz` resamples; None keeps the stream's. Raises UnreadableError (`corrupt`, …) where it cannot be
    decoded.
    """
    from av.audio.resampler import AudioResampler

    origin_s = _origin_s(media)
    with opened(media) as source:
        stream = source.audio
        if stream is None or stream.codec_context is None:
            return
        rate = sample_rate_hz or stream.codec_context.sample_rate
        resampler = AudioResampler(format="flt", rate=rate)
        with located():
            for packet in source.container.demux(stream):
                for frame in packet.decode():
                    for made in resampler.resample(frame):
                        samples = made.to_ndarray().reshape(-1, made.layout.nb_channels)
                        time_s = (made.time or 0.0) - origin_s
                        first = 0 if media.start_s is None else max(0, round((media.start_s - time_s) * rate))
                        last = len(samples)
                        if media.end_s is not None:
                            last = min(last, max(0, round((media.end_s - time_s) * rate)))
                        if last > first:
                            yield AudioBlock(time_s + first / rate, samples[first:last], rate)


def _origin_s(media: Media) -> float:
    with opened(media) as source:
        if source.video is None or source.audio is None:
            return 0.0
        reader = Reader(source)
        return float(reader.first[1] * reader.time_base)
