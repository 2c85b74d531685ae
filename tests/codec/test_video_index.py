"""What an MP4's index says alone is what a decoder says, or it says nothing."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.codec.video import probe
from sluice.codec.video.index import glance
from sluice.errors import LimitError
from sluice.sample import Media


def in_hand(data: bytes) -> Media:
    return Media(size=len(data), data=data)


def film(
    width: int = 64,
    height: int = 48,
    times: list[int] | None = None,
    *,
    options: dict[str, str] | None = None,
    sar: Fraction = Fraction(1),
    prepare: Callable[[Any], None] = lambda stream: None,
    **container: Any,
) -> bytes:
    """An MP4 with frames at these ticks of 1/600 s."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", **container) as made:
        stream = made.add_stream("libx264", rate=30, options={"preset": "veryfast", **(options or {})})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.sample_aspect_ratio = sar
        stream.codec_context.time_base = Fraction(1, 600)
        prepare(stream)
        chance = np.random.default_rng(1)
        for pts in times or [20 * k for k in range(40)]:
            picture = chance.integers(0, 255, (height, width, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 600)
            made.mux(stream.encode(frame))
        made.mux(stream.encode())
    return file.getvalue()


def agrees(data: bytes) -> bool:
    """Whether the index says something; it must then be what `probe` says."""
    found = glance(in_hand(data))
    if found is None:
        return False
    whole = probe(in_hand(data))
    assert (found.width_px, found.height_px, found.frame_count) == (
        whole.width_px,
        whole.height_px,
        whole.frame_count,
    )
    assert found.duration_s == pytest.approx(whole.duration_s, abs=1e-9)
    return True


def test_real_videos_are_told_as_a_decoder_tells_them(data_dir: Path) -> None:
    videos = [p for p in sorted((data_dir / "videos").iterdir()) if p.is_file()]
    told = [path.name for path in videos if agrees(path.read_bytes())]
    assert len(told) >= 5


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"options": {"bf": "3"}},
        {"options": {"bf": "0"}},
        {"times": [0, 20, 40, 300, 310, 1200]},
        {"times": [600, 620, 640]},
        {"times": [0]},
        {"options": {"movflags": "faststart"}},
    ],
    ids=str,
)
def test_films_of_many_kinds_are_told_alike(given: dict[str, Any]) -> None:
    agrees(film(**given))
    assert agrees(film())


def test_what_is_in_doubt_is_left_to_a_decoder(data_dir: Path) -> None:
    doubtful = [
        film(sar=Fraction(4, 3)),
        film(sar=Fraction(0, 1)),
        film(container_options={"movflags": "frag_keyframe+empty_moov"}),
        film()[:-40],
        b"",
        b"no film",
        (data_dir / "videos/torchcodec__av1_video.mkv").read_bytes(),
    ]
    assert [glance(in_hand(data)) for data in doubtful] == [None] * len(doubtful)


def _patched(data: bytes, kind: bytes, offset: int, value: bytes) -> bytes:
    at = data.index(kind, data.index(b"moov")) + 4 + offset
    return data[:at] + value + data[at + len(value) :]


def _changes() -> Iterator[tuple[str, bytes]]:
    whole = film()
    yield "two edits", _patched(whole, b"elst", 4, struct.pack(">I", 2))
    yield "late edit", _patched(whole, b"elst", 12, struct.pack(">i", 999))
    yield "short edit", _patched(whole, b"elst", 8, struct.pack(">I", 1))
    yield "fast edit", _patched(whole, b"elst", 16, struct.pack(">I", 2 << 16))
    yield "more frames", _patched(whole, b"stsz", 8, struct.pack(">I", 41))
    yield "endless frames", _patched(whole, b"stsz", 8, b"\xff\xff\xff\xff")
    yield "no clock", _patched(whole, b"mdhd", 12, bytes(4))
    yield "slanted", _patched(whole, b"tkhd", 40, struct.pack(">i", 12345))
    yield "no pasp", whole.replace(b"pasp", b"free")


@pytest.mark.parametrize(
    ("name", "data"), list(_changes()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_index_that_says_more_than_we_read_is_in_doubt(name: str, data: bytes) -> None:
    assert glance(in_hand(data)) is None


def test_a_quarter_turn_changes_width_and_height() -> None:
    turned = _patched(
        film(), b"tkhd", 40, struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    )
    assert agrees(turned)
    found = glance(in_hand(turned))
    assert found is not None
    assert (found.width_px, found.height_px) == (48, 64)


def test_a_promise_beyond_the_limits_is_an_error() -> None:
    huge = film()
    at = huge.index(b"avc1", huge.index(b"moov")) + 4 + 24
    with pytest.raises(LimitError):
        glance(in_hand(huge[:at] + b"\xff\xff\xff\xff" + huge[at + 4 :]))


WHOLE = film(times=[0, 20, 40])
INDEX = WHOLE.index(b"moov") - 4


@given(at=st.integers(0, len(WHOLE) - INDEX - 1), value=st.binary(min_size=1, max_size=4))
def test_damage_to_the_index_is_never_an_exception_of_another_kind(at: int, value: bytes) -> None:
    start = INDEX + at
    try:
        glance(in_hand(WHOLE[:start] + value + WHOLE[start + len(value) :]))
    except LimitError:
        return
