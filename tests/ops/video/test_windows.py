"""The windows of a clip, and which of its frames stand for each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from threading import Barrier
from time import sleep
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_videos import made, number_of, numbered
from sluice.codec import video
from sluice.codec.video.windows import LEAST_FRAMES, frame_windows
from sluice.errors import UnreadableError
from sluice.ops.video.info import video_info
from sluice.ops.video.windows import Part, Sampling, Window, clip_times, of_each, shown
from sluice.sample import Media


@pytest.mark.parametrize(
    ("frames", "lengths"),
    [
        (600, [256, 344]),
        (640, [256, 256, 128]),
        (3, []),
        (0, []),
        (4, [4]),
        (128, [128]),
        (255, [255]),
        (256, [256]),
        (257, [257]),
        (383, [383]),
        (384, [256, 128]),
        (512, [256, 256]),
    ],
)
def test_a_remainder_is_its_own_window_or_joins_the_last(frames: int, lengths: list[int]) -> None:
    assert [end - start for start, end in frame_windows(frames)] == lengths


@given(st.integers(0, 200_000), st.integers(4, 2000), st.integers(4, 2000))
def test_windows_cover_a_clip_once_and_none_is_too_short(frames: int, window: int, remainder: int) -> None:
    found = frame_windows(frames, window=window, least_remainder=remainder)
    if frames < LEAST_FRAMES:
        assert found == []
        return
    assert (found[0][0], found[-1][1]) == (0, frames)
    assert all(end == start for (_, end), (start, _) in pairwise(found))
    lengths = [end - start for start, end in found]
    assert set(lengths[:-1]) <= {window}
    assert min(window, remainder, frames) <= lengths[-1] < window + max(remainder, 1)


@given(
    st.lists(st.floats(1e-3, 5.0), min_size=1, max_size=300),
    st.floats(0.1, 60.0),
    st.integers(1, 80),
)
def test_frames_are_shown_in_order_once_and_never_too_many(gaps: list[float], fps: float, most: int) -> None:
    times = np.cumsum(gaps)
    places = Sampling(fps, most, 10_000).places(times)
    assert places == sorted(set(places))
    assert 1 <= len(places) <= most
    assert places[0] == 0 or len(places) == most
    assert places[-1] < len(times)


def test_frames_of_a_window_are_those_at_two_a_second() -> None:
    media = Media(data=made(numbered(600), fps=30, options={"g": "30"}))
    times = clip_times(media)
    assert len(times) == 600
    first, last = frame_windows(len(times))
    sampling = Sampling(2.0, 64, 100_000)
    seen = [number_of(rgb[..., 1]) for rgb in shown(media, times[slice(*first)], sampling).pictures]
    assert seen == list(range(0, 256, 15))
    seen = [number_of(rgb[..., 1]) for rgb in shown(media, times[slice(*last)], sampling).pictures]
    assert seen == list(range(256, 600, 15))


def test_windows_of_a_span_count_its_own_frames() -> None:
    whole = Media(data=made(numbered(120), fps=30))
    span = Media(data=whole.data, start_s=1.0, end_s=3.0)
    times = clip_times(span)
    assert len(times) == 60
    seen = shown(span, times, Sampling(2.0, 64, 100_000))
    assert [number_of(rgb[..., 1]) for rgb in seen.pictures] == [30, 45, 60, 75]


def test_threads_that_ask_for_clips_of_one_source_read_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "source.mp4"
    path.write_bytes(made(numbered(60), fps=30))
    calls: list[str] = []

    def counted(name: str) -> None:
        real = getattr(video, name)

        def slow(media: Media) -> Any:
            calls.append(name)
            sleep(0.1)
            return real(media)

        monkeypatch.setattr(video, name, slow)

    counted("probe")
    counted("frame_times")
    together = Barrier(8)

    def asked(k: int) -> tuple[float, int]:
        clip = Media(str(path), size=path.stat().st_size, start_s=k / 10, end_s=k / 10 + 1)
        together.wait()
        return round(video_info(clip).duration_s, 6), len(clip_times(clip))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(asked, range(8))) == {(1.0, 30)}
    assert sorted(calls) == ["frame_times", "probe"]


def test_replies_go_back_to_the_clips_whose_windows_they_are_of() -> None:
    view, times = Media(uri="a.mp4"), np.arange(8.0)
    first, second = (Part(view, Window(k, k + 4), times[k : k + 4]) for k in (0, 4))
    trouble = UnreadableError("torn")
    found = of_each([[first, second], trouble, [second]], iter("abc"))
    assert found == [[(Window(0, 4), "a"), (Window(4, 8), "b")], trouble, [(Window(4, 8), "c")]]


def test_time_is_that_of_the_frames_where_their_rate_varies() -> None:
    ticks = [*range(0, 2000, 40), *range(2000, 6000, 200)]  # 50 frames in 2 s, then 20 in 4 s
    media = Media(data=made(numbered(len(ticks)), times=ticks, time_base=Fraction(1, 1000)))
    times = clip_times(media)
    np.testing.assert_allclose(times, np.array(ticks) / 1000)
    seen = shown(media, times, Sampling(1.0, 64, 100_000))
    assert [number_of(rgb[..., 1]) for rgb in seen.pictures] == [0, 25, 50, 55, 60, 65]


def test_pictures_share_the_budget_and_are_never_enlarged() -> None:
    media = Media(data=made(numbered(90, 320, 180), fps=30))
    times = clip_times(media)
    seen = shown(media, times, Sampling(2.0, 64, 60_000))
    assert len(seen.pictures) == 6
    total = sum(rgb.shape[0] * rgb.shape[1] for rgb in seen.pictures)
    assert 54_000 <= total <= 60_500
    large = shown(media, times, Sampling(2.0, 64, 10_000_000))
    assert {rgb.shape for rgb in large.pictures} == {(180, 320, 3)}
    assert seen.digest != large.digest
    assert seen.digest == shown(media, times, Sampling(2.0, 64, 60_000)).digest
