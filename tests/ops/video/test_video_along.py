"""Measures along videos: black, still, repeated, flickering, sharp and blocky ones, of files and of their clips."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from made_videos import made, numbered
from sluice.codec.video import decode
from sluice.operator import registry, tracks
from sluice.sample import Media
from video_measures import ALONG, measured, value


def grey(level: int, count: int, width: int = 96, height: int = 64) -> list[NDArray[np.uint8]]:
    """Pictures of one grey."""
    return [np.full((height, width, 3), level, np.uint8)] * count


def noise(count: int, seed: int = 0) -> Iterator[NDArray[np.uint8]]:
    """Pictures of coarse noise, each another one."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        yield cv2.resize(random.integers(0, 256, (16, 24, 3), np.uint8), (96, 64))


@cache
def dark_then_light() -> bytes:
    """3 s black with a small light in it, then 1 s of noise."""
    black = grey(0, 75)[0].copy()
    black[:4, :4] = 255  # 16 of 6,144 pixels
    return made([*[black] * 75, *noise(25)])


def test_black_frames_may_have_some_light() -> None:
    assert value(dark_then_light(), "video_black_ratio") == 0.75
    assert value(dark_then_light(), "video_black_ratio", min_black_pixels=1.0) == 0.0
    end = Media(data=dark_then_light(), start_s=2.5)
    assert value(end, "video_black_ratio") == pytest.approx(1 / 3)
    assert value(made(grey(20, 25)), "video_black_ratio") == 1.0, "below a tenth of white"
    assert value(made(grey(30, 25)), "video_black_ratio") == 0.0


def test_a_freeze_lasts_two_seconds() -> None:
    data = made([*noise(50), *list(noise(1, 9)) * 75], options={"g": "250", "crf": "8"})  # moves for 2 s
    assert value(data, "video_freeze_ratio") == pytest.approx(0.6, abs=0.01)
    assert value(data, "video_freeze_ratio", min_freeze_s=3.5) == 0.0
    assert value(Media(data=data, start_s=1.0, end_s=4.5), "video_freeze_ratio") == pytest.approx(
        2.5 / 3.5, abs=0.02
    )
    assert value(Media(data=data, start_s=3.5), "video_freeze_ratio") == 0.0, "1.5 s are left of it"


def test_a_slide_is_a_freeze_though_it_has_one_frame() -> None:
    times = [*range(0, 1000, 40), 1000, 5000]  # the second last stays for 4 s
    assert value(made(noise(27), times=times), "video_freeze_ratio") == pytest.approx(4 / 5, abs=0.01)


def test_repeated_frames_are_counted() -> None:
    film = list(noise(40))
    telecined = [film[i * 4 // 5] for i in range(50)]  # 24 a second stored at 30
    assert value(made(telecined, fps=30), "video_duplicate_frame_ratio") == pytest.approx(0.2, abs=0.01)
    assert value(made(film), "video_duplicate_frame_ratio") == 0.0
    assert value(made(film[:1] * 30, options={"g": "250"}), "video_duplicate_frame_ratio") == 1.0


def test_flicker_is_the_mean_step_of_brightness() -> None:
    steady, strobe = grey(100, 50), [*grey(100, 1), *grey(112, 1)] * 25
    assert value(made(steady), "video_flicker") == pytest.approx(0.0, abs=0.05)
    assert value(made(strobe, options={"crf": "5"}), "video_flicker") == pytest.approx(12, abs=1.2)
    one = measured(made(grey(9, 1)), "video_flicker")
    assert [(n.kind, n.reason) for n in one[1]] == [("declined", "one frame")]


def test_exposure_and_its_ends() -> None:
    found, _ = measured(made([*grey(50, 25), *grey(255, 25)]), "video_exposure")
    assert found["video_exposure_min"] == pytest.approx(50, abs=2)
    assert found["video_exposure_max"] == pytest.approx(255, abs=1)
    assert found["video_exposure_mean"] == pytest.approx(152, abs=2)
    assert (found["video_exposure_over_ratio"], found["video_exposure_under_ratio"]) == (0.5, 0.0)


def test_the_least_sharp_frame_and_the_mean() -> None:
    (sharp,) = noise(1)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 6)
    data = made([*[sharp] * 25, *[blurred] * 25])
    found, _ = measured(data, "video_sharpness")
    assert found["video_sharpness_min"] < 0.1 * found["video_sharpness_mean"]
    frames = [f.luma for f in decode(Media(data=data)) if f.index in (0, 13, 25, 38)]
    own = [cv2.Laplacian(luma, cv2.CV_64F).var() for luma in frames]
    assert found["video_sharpness_mean"] == pytest.approx(np.mean(own), rel=1e-6)
    assert found["video_sharpness_min"] == pytest.approx(min(own), rel=1e-6)


def test_coarse_quantisation_shows_as_blocks(data_dir: Path) -> None:
    photo = cv2.imread(str(min((data_dir / "photos").glob("*.jpg"))))
    assert photo is not None
    pictures = [cv2.resize(photo, (320, 240))] * 10
    coarse = made(
        pictures, codec="mpeg4", options={"qmin": "31", "qmax": "31", "flags": "+qscale", "b": "50000"}
    )
    fine = made(pictures, options={"crf": "8"})
    assert value(coarse, "video_blockiness") > value(fine, "video_blockiness") + 0.1
    tiny = measured(made(grey(1, 25, 14, 14)), "video_blockiness")
    assert [(n.kind, n.reason) for n in tiny[1]] == [("declined", "no frames")]


def test_all_of_them_come_of_one_decode() -> None:
    data = made(numbered(50))
    before = tracks.decoded().frames
    found, notes = measured(data, *ALONG)
    assert notes == []
    assert None not in found.values()
    assert tracks.decoded().frames - before == 50


def test_a_clip_between_two_times_of_the_grid_is_declined() -> None:
    found, notes = measured(Media(data=made(numbered(50)), start_s=0.6, end_s=0.9), *ALONG)
    on_grid = ("exposure", "black", "sharpness", "blockiness")
    assert {name for name, value in found.items() if value is None} == {
        name for name in found if name.startswith(tuple(f"video_{word}" for word in on_grid))
    }
    assert {(n.kind, n.reason) for n in notes} == {("declined", "no frames")}


def test_broken_files_fail_alone_with_their_reasons(data_dir: Path) -> None:
    reasons = {}
    for path in sorted((data_dir / "bad").iterdir()):
        if path.suffix in (".mp4", ".mov", ".mkv", ".webm"):
            found, notes = measured(Media(str(path)), *ALONG)
            reasons[path.name] = {(n.kind, n.reason) for n in notes}
            assert all(n.kind == "declined" for n in notes) or set(found.values()) == {None}
    unreadable = {
        name: reason for name, found in reasons.items() for kind, reason in found if kind != "declined"
    }
    assert unreadable == {
        "decord__corrupted.mp4": "corrupt",
        "file-type__fixture-corrupt.mkv": "not a video",
        "file-type__fixture-isom.mp4": "truncated",
        "file-type__fixture-moov.mov": "truncated",
        "moviepy__result.webm": "empty file",
    }
    assert len(reasons) == 9


def test_the_grid_can_be_finer() -> None:
    data = made([*grey(50, 2), *grey(200, 23)])
    finer = registry().bind("video_exposure", with_={"video_tones": {"fps": 25}})
    tracks.use(None)
    span = tracks.span(finer.bindings["video_tones"], Media(data=data))
    assert len(span) == 25
