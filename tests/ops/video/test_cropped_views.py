"""Measures of cropped clips: of what the crop shows, as of a video of its own, and never of the whole picture."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from made_videos import made, scenes
from sluice.operator import tracks
from sluice.recipe.load import loads
from sluice.run import run
from sluice.sample import Media
from video_measures import ALONG, measured

LOSSLESS = {"crf": "0", "preset": "ultrafast"}
BAR_PX, SIDE_PX = 32, 16
CROP = (SIDE_PX, BAR_PX, 160, 96)
NAMES = (
    *ALONG,
    "video_flow_magnitude",
    "video_camera_shake",
    "video_bar",
)


def pictures() -> Iterator[NDArray[np.uint8]]:
    """Two shots of 2 s, the second one darker, that turn by a pixel a frame."""
    for number, picture in enumerate(scenes([50, 50], pan_px=1)):
        yield picture if number < 50 else picture // 2 + 30


@cache
def inner() -> bytes:
    return made(pictures(), options=LOSSLESS)


@cache
def framed() -> bytes:
    """The same in a black frame."""
    pads = (BAR_PX, BAR_PX), (SIDE_PX, SIDE_PX), (0, 0)
    return made((np.pad(picture, pads) for picture in pictures()), options=LOSSLESS)


@pytest.mark.parametrize("span", [(None, None), (0.71, 3.3)], ids=["whole", "clip"])
def test_a_crop_is_measured_as_a_video_of_its_own(span: tuple[float | None, float | None]) -> None:
    start, end = span
    own, _ = measured(Media(data=inner(), start_s=start, end_s=end), *NAMES)
    found, notes = measured(Media(data=framed(), start_s=start, end_s=end, crop=CROP), *NAMES)
    whole, _ = measured(Media(data=framed(), start_s=start, end_s=end), *NAMES)
    assert notes == []
    # Pictures are scaled down by other means where they are cropped, which flow and freezes can tell.
    assert found == pytest.approx(own, rel=0.02, abs=1e-4)
    assert found["video_exposure_mean"] == pytest.approx(own["video_exposure_mean"], abs=1e-9)
    for name in ("video_exposure_mean", "video_flicker", "video_sharpness_mean", "video_flow_magnitude"):
        assert whole[name] != pytest.approx(found[name], rel=0.05)
    assert whole["video_bar_top_px"] == BAR_PX


def test_only_the_clip_is_decoded_for_its_crop_and_once_for_all_measures() -> None:
    before = tracks.decoded().frames
    measured(Media(data=framed(), start_s=2.0, end_s=3.0, crop=CROP), *NAMES)
    assert tracks.decoded().frames - before == 37, "25 frames, and those of a step of the grid before"


def test_motion_vectors_inside_the_crop_count() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (16, 40, 1), np.uint8).repeat(8, 0).repeat(8, 1).repeat(3, 2)
    halves = [np.concatenate([np.roll(noise[:, :160], 2 * k, 1), noise[:, :160]], 1) for k in range(50)]
    data = made(halves, options={"g": "1000", "sc_threshold": "0"})

    def mean(left: int, **settings: bool) -> float:
        media = Media(data=data, crop=(left, 0, 144, 128))
        found: float = measured(media, video_motion_vector=settings)[0]["video_motion_vector_mean"]
        return found

    one_frame = 2 / (144 + 128)  # a vector may point some frames away
    for settings in ({}, {"first_half": True}):
        assert mean(176, **settings) == pytest.approx(0, abs=1e-4)
        assert 0.8 * one_frame < mean(0, **settings) < 3 * one_frame


def test_bars_of_oblong_pixels_are_cut_where_they_are_stored(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pads = (0, 0), (SIDE_PX, SIDE_PX), (0, 0)
    data = made((np.pad(p, pads) for p in pictures()), sample_aspect_ratio=Fraction(3, 2), options=LOSSLESS)
    (tmp_path / "in/a.mp4").write_bytes(data)
    recipe = f"""
source: {{path: {tmp_path}/in}}
steps:
  - split: {{video_split_stride: {{length_s: 2}}}}
  - map: video_crop_bars
  - measure: [video_bar, video_width_px]
write: {{path: {tmp_path}/out, format: clips}}
"""
    run(loads(recipe), workers=0, quiet=True)
    for clip in pq.read_table(tmp_path / "out/clips.parquet").to_pylist():
        assert clip["width_px"] == clip["video_width_px"] == 240
        assert (clip["video_bar_left_px"], clip["video_bar_right_px"]) == (0, 0)
