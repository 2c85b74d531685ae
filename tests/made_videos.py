"""Videos made for tests: every picture tells its own number, so that a test knows which frame it was given."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
_BITS = 10


def numbered(count: int, width: int = 160, height: int = 96, first: int = 0) -> Iterator[Pixels]:
    """Grey pictures that carry their numbers as ten upright bars, white for 1 and black for 0, lowest bit first."""
    for number in range(first, first + count):
        yield bars(number, width, height)


def bars(number: int, width: int = 160, height: int = 96) -> Pixels:
    """The picture of one number."""
    levels = np.array([235 if number >> bit & 1 else 20 for bit in range(_BITS)], np.uint8)
    row = levels[np.arange(width) * _BITS // width]
    return np.repeat(np.repeat(row[None, :, None], height, 0), 3, 2)


def number_of(luma: Pixels) -> int:
    """The number that a picture of `numbered` carries, read from its luma."""
    width = luma.shape[1]
    at = [(2 * bit + 1) * width // (2 * _BITS) for bit in range(_BITS)]
    row = luma[luma.shape[0] // 2]
    return sum(1 << bit for bit, x in enumerate(at) if row[x] > 127)


def scenes(
    lengths: Sequence[int], width: int = 160, height: int = 96, seed: int = 0, *, pan_px: int = 0
) -> Iterator[Pixels]:
    """Hard cuts between scenes of random blocks, as many pictures each as `lengths` says.

    They are still, or turn around by `pan_px` pixels from picture to picture.
    """
    rng = np.random.default_rng(seed)
    for length in lengths:
        blocks = rng.integers(0, 256, (6, 10, 3), np.uint8)
        ys, xs = np.arange(height) * 6 // height, np.arange(width) * 10 // width
        picture = blocks[ys][:, xs]
        for number in range(length):
            yield np.roll(picture, pan_px * number, axis=1) if pan_px else picture


def made(
    pictures: Iterable[Pixels],
    *,
    container: str = "mp4",
    codec: str = "libx264",
    fps: Fraction | int = 25,
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    rotation: int = 0,
    sample_aspect_ratio: Fraction | None = None,
    sound_s: float = 0.0,
    muxing: dict[str, str] | None = None,
) -> bytes:
    """An encoded video of `pictures`.

    `times` are PTS in `time_base` (1/1000 where they are given alone), instead of a constant rate of `fps`. `rotation`
    is clockwise, by a display matrix. `sound_s` seconds of a 440 Hz tone (AAC, Opus in WebM, 48 kHz mono). Encoder
    `options` default to quick and good; GOPs are 12 frames and B-frames on with libx264.
    """
    import av

    base = time_base or (Fraction(1, 1000) if times is not None else 1 / Fraction(fps))
    chosen = {"preset": "veryfast", "crf": "18", "g": "12", "bf": "2"} if codec == "libx264" else {}
    file = io.BytesIO()
    file.name = f"made.{container}"  # type: ignore[misc]
    with av.open(file, "w", format=container, options=muxing or {}) as out:
        stream: Any = out.add_stream(codec, rate=Fraction(fps), options=chosen | (options or {}))
        stream.pix_fmt, stream.codec_context.time_base = pix_fmt, base
        sound: Any = None
        if sound_s:
            sound = out.add_stream("libopus" if container == "webm" else "aac", rate=48_000, layout="mono")
        for i, pixels in enumerate(pictures):
            if i == 0:
                stream.height, stream.width = pixels.shape[:2]
                if sample_aspect_ratio:
                    stream.codec_context.sample_aspect_ratio = sample_aspect_ratio
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(
                format=pix_fmt, dst_colorspace="ITU601", threads=1
            )
            frame.pts, frame.time_base = i if times is None else times[i], base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound is not None:
            _put_tone(out, sound, sound_s)
    data = file.getvalue()
    return turned(data, rotation) if rotation else data


def _put_tone(out: Any, sound: Any, length_s: float) -> None:
    import av

    total = round(length_s * 48_000)
    tone = (0.5 * np.sin(2 * math.pi * 440 * np.arange(total) / 48_000)).astype(np.float32)
    for start in range(0, total, 960):
        part = tone[None, start : start + 960]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
        out.mux(sound.encode(frame))
    out.mux(sound.encode(None))


def sounding(
    samples: NDArray[np.float32], *, length_s: float, layout: str = "mono", starts_s: float = 0.0
) -> bytes:
    """A Matroska file of `length_s` seconds of black with `samples` [n, channels], 48 kHz, kept as they are (PCM)."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        pictures: Any = out.add_stream("mpeg4", rate=10)
        pictures.width, pictures.height = 32, 32
        sound: Any = out.add_stream("pcm_f32le", rate=48_000, layout=layout)
        for i in range(round(length_s * 10)):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24").reformat(
                format="yuv420p"
            )
            picture.pts, picture.time_base = i, Fraction(1, 10)
            out.mux(pictures.encode(picture))
        out.mux(pictures.encode(None))
        for first in range(0, len(samples), 1024):
            part = np.ascontiguousarray(samples[first : first + 1024], np.float32).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, "flt", layout)
            frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
            frame.pts = first + round(starts_s * 48_000)
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return file.getvalue()


def turned(mp4: bytes, clockwise_deg: int, *, mirrored: bool = False) -> bytes:
    """An MP4 whose (first) track is shown turned: its `tkhd` matrix rewritten (ISO/IEC 14496-12, 8.3.2)."""
    cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise_deg]
    flip = -1 if mirrored else 1
    a, b, c, d = cos * flip, sin * flip, -sin, cos
    matrix = b"".join(
        int(v).to_bytes(4, "big", signed=True)
        for v in (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    )
    at = mp4.index(b"tkhd") + 4
    start = at + (52 if mp4[at] == 1 else 40)  # version 1 has 64-bit times
    return mp4[:start] + matrix + mp4[start + 36 :]


def with_edit(mp4: bytes, media_time: int) -> bytes:
    """An MP4 whose only edit begins at `media_time` of its track's ticks: what lies before is not shown."""
    at = mp4.index(b"elst") + 4
    assert mp4[at] == 0, "a version 0 edit list"
    entry = at + 8
    return mp4[: entry + 4] + media_time.to_bytes(4, "big") + mp4[entry + 8 :]
