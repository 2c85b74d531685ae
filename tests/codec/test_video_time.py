"""Frames at their times, in every container and however a stream is ordered; spans, samples and limits."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

from made_videos import made, number_of, numbered, with_edit
from sluice.codec.limits import Limits, set_limits
from sluice.codec.video import decode, frame_times, frames_at, keyframes, probe, uniform_times
from sluice.errors import LimitError, StorageError, UnreadableError
from sluice.sample.media import Media

_OPEN = {"x264-params": "open-gop=1:keyint=12:bframes=3:b-adapt=0"}
_REFRESH = {"x264-params": "intra-refresh=1:keyint=20", "bf": "0"}
_B = {"bf": "2", "g": "12"}
_UNEVEN_MS = [40 * i + (i * i * 7) % 37 for i in range(60)]

MADE: dict[str, Callable[[], bytes]] = {
    "mp4": lambda: made(numbered(60)),
    "mkv": lambda: made(numbered(60), container="matroska"),
    "mpegts": lambda: made(numbered(60), container="mpegts"),
    "flv": lambda: made(numbered(60), container="flv"),
    "fragments": lambda: made(numbered(60), muxing={"movflags": "frag_keyframe+empty_moov"}),
    "raw": lambda: made(numbered(60), container="h264"),
    "program stream": lambda: made(numbered(60), codec="mpeg2video", container="mpeg", options=_B),
    "mpeg2 mpegts": lambda: made(numbered(60), codec="mpeg2video", container="mpegts", options=_B),
    "avi": lambda: made(numbered(60), codec="mpeg4", container="avi", options={"g": "12"}),
    "avi with B-frames": lambda: made(numbered(60), codec="mpeg4", container="avi", options=_B),
    "open GOP": lambda: made(numbered(60), options=_OPEN),
    "open GOP mpegts": lambda: made(numbered(60), container="mpegts", options=_OPEN),
    "gradual refresh": lambda: made(numbered(60), options=_REFRESH),
    "vp9": lambda: made(numbered(60), codec="libvpx-vp9", container="webm"),
    "10 bits": lambda: made(numbered(60), pix_fmt="yuv420p10le"),
    "variable rate": lambda: made(numbered(60), times=_UNEVEN_MS),
    "variable rate mkv": lambda: made(numbered(60), times=_UNEVEN_MS, container="matroska"),
    "120 a second": lambda: made(numbered(60), fps=120),
    "one in two seconds": lambda: made(numbered(60), fps=Fraction(1, 2)),
    "an edit in mid-GOP": lambda: with_edit(made(numbered(77)), 17 * 512 + 1024),
}
_FIRST = {"an edit in mid-GOP": 17}
_RATES = {"120 a second": 120.0, "one in two seconds": 0.5}


@cache
def video(kind: str) -> Media:
    return Media(data=MADE[kind]())


def times_of(kind: str) -> list[float]:
    if kind.startswith("variable"):
        return [ms / 1000 for ms in _UNEVEN_MS]
    return [i / _RATES.get(kind, 25.0) for i in range(60)]


@pytest.mark.parametrize("kind", MADE)
def test_every_frame_comes_at_its_time(kind: str) -> None:
    frames, times, first = list(decode(video(kind))), times_of(kind), _FIRST.get(kind, 0)
    assert [number_of(f.luma) for f in frames] == list(range(first, first + 60))
    assert [f.time_s for f in frames] == pytest.approx(times, abs=1e-3)
    assert [f.index for f in frames] == list(range(60))
    for frame, start, end in zip(frames, times, times[1:], strict=False):
        assert frame.duration_s == pytest.approx(end - start, abs=2e-3)
    assert list(frame_times(video(kind))) == [f.time_s for f in frames]
    info = probe(video(kind))
    assert info.frame_count == 60
    slack_s = 0.05 if kind == "program stream" else 1e-6  # there not every frame has a time
    assert info.duration_s == pytest.approx(frames[-1].time_s + frames[-1].duration_s, abs=slack_s)


@pytest.mark.parametrize("kind", MADE)
def test_spans_and_samples_are_what_decoding_gives(kind: str) -> None:
    media, rng = video(kind), random.Random(kind)
    numbers = [number_of(f.luma) for f in decode(media)]
    times = [f.time_s for f in decode(media)]
    for _ in range(4):
        first = rng.randrange(60)
        last = rng.randrange(first + 1, 61)
        span = replace(media, start_s=times[first], end_s=times[last] if last < 60 else None)
        assert [number_of(f.luma) for f in decode(span)] == numbers[first:last]
    wanted = [rng.uniform(-1, times[-1] + 1) for _ in range(5)] + [times[31]]
    found = [number_of(f.luma) for f in frames_at(media, wanted)]
    assert found == [
        next((n for n, t in zip(numbers, times, strict=True) if t >= w - 1e-6), numbers[-1]) for w in wanted
    ]
    keys = [(number_of(f.luma), f.time_s) for f in keyframes(media)]
    assert keys == [(number_of(f.luma), f.time_s) for f in decode(media) if f.is_key]


def test_times_before_zero_are_cut_by_the_edit_list_that_hides_them() -> None:
    early = made(numbered(40), times=[40 * i - 400 for i in range(40)])
    frames = list(decode(Media(data=early)))
    assert [number_of(f.luma) for f in frames] == list(range(10, 40))
    assert frames[0].time_s == 0.0


def test_a_stream_that_starts_late_starts_at_zero() -> None:
    late = Media(data=made(numbered(30), times=[1400 + 40 * i for i in range(30)], container="mpegts"))
    assert probe(late).first_pts > 90_000
    assert [f.time_s for f in decode(late)] == pytest.approx([0.04 * i for i in range(30)], abs=1e-4)
    assert number_of(frames_at(late, [0.8])[0].luma) == 20


def test_samples_stay_in_their_view() -> None:
    media = replace(video("mp4"), start_s=0.4, end_s=0.8)
    assert [number_of(f.luma) for f in frames_at(media, [0.0, 0.6, 0.79, 0.8, 5.0])] == [10, 15, 19, 19, 19]
    assert [number_of(f.luma) for f in frames_at(media, [9.0, 0.0])] == [19, 10]
    assert frames_at(media, []) == []
    with pytest.raises(UnreadableError, match="no frame lies"):
        frames_at(replace(media, start_s=9.0, end_s=10.0), [9.5])


def test_a_view_without_key_frame_has_its_first_frame() -> None:
    media = replace(video("mp4"), start_s=0.04, end_s=0.2)
    assert [number_of(f.luma) for f in keyframes(media)] == [1]


def test_uniform_times() -> None:
    assert uniform_times(2.0, 6.0, 3) == [2.0, 4.0, 6.0]
    assert uniform_times(2.0, 6.0, 1) == [4.0]
    assert uniform_times(2.0, 6.0, 0) == []


def test_one_frame_and_one_pixel() -> None:
    one = Media(data=made(numbered(1)))
    assert (probe(one).frame_count, probe(one).duration_s) == (1, pytest.approx(0.04))
    dot = Media(data=made(numbered(3, 1, 1), codec="ffv1", container="matroska", pix_fmt="yuv444p"))
    frames = list(decode(dot))
    assert len(frames) == 3
    assert frames[1].rgb().shape == (1, 1, 3)
    assert frames[1].small(4, 2).shape == (2, 4)


def test_files_ranges_and_bytes_are_alike(tmp_path: Path) -> None:
    data = MADE["mp4"]()
    whole, inside = tmp_path / "ein Film: ä ö.mp4", tmp_path / "shard 0.tar"
    whole.write_bytes(data)
    inside.write_bytes(b"x" * 1536 + data + b"y" * 4096)
    views = [Media(str(whole)), Media(str(inside), offset=1536, size=len(data)), Media(data=data)]
    infos = [probe(view) for view in views]
    assert infos[0] == infos[1] == infos[2]
    for view in views:
        span = replace(view, start_s=1.0, end_s=1.2)
        assert [number_of(f.luma) for f in decode(span)] == [25, 26, 27, 28, 29]
    with pytest.raises(StorageError):
        probe(Media(str(tmp_path / "none.mp4")))


@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi", "fragments"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_cut_short_is_truncated(kind: str, share: float) -> None:
    data = video(kind).data or b""
    cut = Media(data=data[: int(len(data) * share)])
    for use in (probe, lambda m: list(decode(m))):
        with pytest.raises(UnreadableError) as error:
            use(cut)
        assert error.value.reason == "truncated"


def test_damage_is_told_with_its_time() -> None:
    data = bytearray(made(numbered(60), options={"g": "60"}))
    at = data.index(b"mdat")
    for i in range(at + 2200, at + 2600):
        data[i] ^= 0x5A
    with pytest.raises(UnreadableError) as error:
        list(decode(Media(data=bytes(data))))
    assert error.value.reason == "corrupt"
    assert "after" in error.value.what


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "not a video"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "not a video"),
        (b"\0" * 4096, "not a video"),
    ],
)
def test_what_is_no_video_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError) as error:
        probe(Media(data=data))
    assert error.value.reason == reason


@pytest.mark.parametrize("limits", [Limits(video_px=1000), Limits(video_s=1.0), Limits(video_frames=10)])
def test_limits(limits: Limits) -> None:
    former = set_limits(limits)
    try:
        with pytest.raises(LimitError):
            probe(video("mp4"))
        with pytest.raises(LimitError):
            list(decode(video("mp4")))
    finally:
        set_limits(former)
