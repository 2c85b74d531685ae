"""Measures of videos by their headers: size as displayed, length, rate, codec and sound, of files and of clips."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from made_videos import made, numbered
from sluice.operator import Program, registry
from sluice.sample import Item, Media, Note, Sample

HEADER = (
    "video_duration_s",
    "video_width_px",
    "video_height_px",
    "video_aspect_ratio",
    "video_stored",
    "video_fps",
    "video_frame_count",
    "video_codec",
    "video_pix_fmt",
    "video_bitrate",
    "video_has_audio",
    "video_audio",
)


def measured(media: Media) -> tuple[dict[str, Any], list[Note]]:
    """Values by column, and what was noted."""
    program = Program([registry().bind(name) for name in HEADER])
    found = program([Sample("v", "v", (Item("video", media=media),))])
    return {name: column[0][0] for name, column in found.columns.items()}, list(found.notes[0])


@cache
def turned_with_sound() -> bytes:
    """2 s, 160 x 96 stored in pixels of 2:1, turned a quarter."""
    return made(
        numbered(50), rotation=90, sample_aspect_ratio=Fraction(2), sound_s=2.0, options={"crf": "30"}
    )


def test_sizes_are_those_shown_and_stored_ones_stay_known() -> None:
    found, notes = measured(Media(data=turned_with_sound()))
    assert notes == []
    assert (found["video_width_px"], found["video_height_px"]) == (96, 320)
    assert found["video_aspect_ratio"] == pytest.approx(0.3)
    assert (found["video_stored_width_px"], found["video_stored_height_px"]) == (160, 96)
    assert found["video_stored_aspect_ratio"] == pytest.approx(160 / 96)
    assert (found["video_codec"], found["video_pix_fmt"]) == ("h264", "yuv420p")
    assert found["video_has_audio"] is True
    assert [found[f"video_audio_{part}"] for part in ("codec", "sample_rate_hz", "channels")] == [
        "aac", 48_000, 1,
    ]  # fmt: skip
    assert (found["video_duration_s"], found["video_fps"], found["video_frame_count"]) == (2.0, 25.0, 50)


def test_bitrate_is_that_of_the_pictures() -> None:
    pictures = made(numbered(50), options={"crf": "30"})
    with_sound = made(numbered(50), options={"crf": "30"}, sound_s=2.0)
    alone, beside = (measured(Media(data=data))[0]["video_bitrate"] for data in (pictures, with_sound))
    assert alone == pytest.approx(beside, rel=0.02)
    assert alone < len(pictures) * 8 / 2


def test_a_clip_has_its_span_and_crop_and_its_sources_streams() -> None:
    clip = Media(data=turned_with_sound(), start_s=0.5, end_s=1.5, crop=(8, 20, 64, 128))
    found, notes = measured(clip)
    assert found["video_duration_s"] == 1.0
    assert (found["video_width_px"], found["video_height_px"], found["video_aspect_ratio"]) == (64, 256, 0.25)
    assert found["video_fps"] == 25.0
    assert found["video_frame_count"] is None
    assert [(note.kind, note.reason) for note in notes] == [("declined", "frame count unknown")]


def test_a_variable_rate_is_an_average_and_silence_is_declined() -> None:
    times = [*range(0, 1000, 40), *range(1000, 5000, 400)]  # 25 in the first second, 10 in four more
    found, notes = measured(Media(data=made(numbered(35), times=times)))
    assert found["video_fps"] == pytest.approx(35 / 5, rel=0.08)
    assert found["video_has_audio"] is False
    assert found["video_audio_codec"] is None
    assert [(note.kind, note.reason) for note in notes] == [("declined", "no sound")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cosmos-curate__test_clip_10s.mp4", ("h264", 854, 480, 10.0, 240, False)),
        ("decord__video_90.mov", ("h264", 320, 568, 0.1, 3, False)),
        ("decord__flipping_a_pancake.mkv", ("h264", 426, 240, 10.333, 310, True)),
        ("torchcodec__av1_video.mkv", ("av1", 640, 360, 5.0, 125, False)),
        ("mmaction2__test.avi", ("mpeg4", 320, 240, 6.56, 164, True)),
        ("file-type__fixture.mpg", ("mpeg1video", 160, 120, 1.333, 19, False)),
        ("moviepy__transparent.webm", ("vp9", 200, 200, 5.0, 150, True)),
        ("file-type__fixture-mjpeg.mov", ("mjpeg", 640, 480, 1.5, 15, True)),
    ],
)
def test_real_files_of_many_kinds(data_dir: Path, name: str, expected: tuple[Any, ...]) -> None:
    found, _ = measured(Media(str(data_dir / "videos" / name)))
    told = [found[f"video_{n}"] for n in ("codec", "width_px", "height_px", "frame_count", "has_audio")]
    codec, width, height, seconds, frames, sound = expected
    assert told == [codec, width, height, frames, sound]
    assert found["video_duration_s"] == pytest.approx(seconds, abs=0.001)


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(_cut, "truncated"), (lambda data: b"", "empty file"), (lambda data: b"no", "not a video")],
)
def test_a_bad_file_fails_with_its_reason(spoil: Callable[[bytes], bytes], reason: str) -> None:
    found, notes = measured(Media(data=spoil(turned_with_sound())))
    assert set(found.values()) == {None}
    assert {(note.kind, note.reason) for note in notes} == {("unreadable", reason)}
