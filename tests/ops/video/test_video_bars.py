"""Black bars of videos are found, whatever is dark or written over them, and cut off in views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from made_videos import made, turned
from sluice.codec.video import decode
from sluice.operator import registry, tracks
from sluice.operator.mapping import MapperChain
from sluice.recipe.load import loads
from sluice.run import run
from sluice.sample import Item, Media, Note, Sample
from video_measures import measured

SIDES = ("top", "right", "bottom", "left")


def framed(
    bars: Sequence[int], count: int = 50, width: int = 192, height: int = 128
) -> Iterator[NDArray[np.uint8]]:
    """Coarse noise between black bars above, to the right, below and to the left."""
    top, right, bottom, left = bars
    random = np.random.default_rng(1)
    inner = width - left - right, height - top - bottom
    for _ in range(count):
        picture = np.zeros((height, width, 3), np.uint8)
        noise = random.integers(40, 256, (8, 12, 3), np.uint8)
        picture[top : height - bottom, left : width - right] = cv2.resize(noise, inner)
        yield picture


def bars_of(media: Media | bytes) -> list[int | None]:
    found, _ = measured(media, "video_bar")
    return [found[f"video_bar_{side}_px"] for side in SIDES]


def cropped(media: Media) -> tuple[Media, list[Note]]:
    """What the mapper makes of a view."""
    tracks.use(None)
    (sample,) = MapperChain([registry().bind("video_crop_bars")])(
        [Sample("v", "v", (Item("video", media=media),))]
    )
    made_of = sample.items[0].media
    assert made_of is not None
    return made_of, list(sample.notes)


@pytest.mark.parametrize("bars", [(16, 0, 16, 0), (0, 24, 0, 24), (10, 20, 30, 40), (0, 0, 0, 0)])
def test_bars_are_found_to_the_pixel(bars: tuple[int, int, int, int]) -> None:
    assert bars_of(made(framed(bars), options={"crf": "10"})) == pytest.approx(list(bars), abs=1)


def test_text_in_a_bar_and_dark_scenes_change_nothing() -> None:
    def pictures() -> Iterator[NDArray[np.uint8]]:
        for k, picture in enumerate(framed((20, 0, 20, 0), 200)):
            cv2.putText(picture, "subtitles", (40, 122), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255))
            if 50 <= k < 100:
                picture[:] = 0  # a fade
            if 100 <= k < 150:
                picture[:90] = 0  # a night with a little light below
            yield picture

    assert bars_of(made(pictures(), options={"crf": "10"})) == pytest.approx([20, 0, 20, 0], abs=1)


def test_a_turned_video_has_its_bars_where_they_are_shown() -> None:
    upright = made(framed((16, 0, 32, 0)), options={"crf": "10"})
    assert bars_of(turned(upright, 90)) == pytest.approx([0, 16, 0, 32], abs=1)


def test_what_is_dark_throughout_is_declined() -> None:
    black = made(np.zeros((64, 96, 3), np.uint8) for _ in range(30))
    found, notes = measured(black, "video_bar")
    assert set(found.values()) == {None}
    assert {(n.kind, n.reason) for n in notes} == {("declined", "all dark")}
    media, said = cropped(Media(data=black))
    assert media.crop is None
    assert [(n.kind, n.reason) for n in said] == [("declined", "video_crop_bars: all dark")]


def test_a_view_without_bars_is_cropped_and_one_that_has_none_stays() -> None:
    data = made(framed((16, 8, 16, 24)), options={"crf": "10"})
    media, notes = cropped(Media(data=data, start_s=0.4))
    assert notes == []
    assert media.start_s == 0.4
    assert media.crop == pytest.approx((24, 16, 160, 96), abs=2)
    luma = next(decode(media)).luma
    assert min(luma.mean(axis=0).min(), luma.mean(axis=1).min()) > 40
    whole = Media(data=made(framed((0, 0, 0, 0)), options={"crf": "10"}))
    assert cropped(whole) == (whole, [])


def test_a_crop_is_cut_further_and_never_to_nothing() -> None:
    data = made(framed((16, 0, 16, 0)), options={"crf": "10"})
    media, _ = cropped(Media(data=data, crop=(30, 0, 100, 128)))
    assert media.crop == pytest.approx((30, 16, 100, 96), abs=2)
    slit, notes = cropped(Media(data=made(framed((40, 0, 40, 0)), options={"crf": "10"})))
    assert slit.crop is None
    assert [(n.kind, n.reason) for n in notes] == [("declined", "video_crop_bars: crop too small")]


SPLIT = "  - split: {video_split_stride: {length_s: 2, min_length_s: 0.5}}\n"
CROP = "  - map: video_crop_bars\n"


@pytest.mark.parametrize("steps", [SPLIT + CROP, CROP + SPLIT], ids=["clips", "sources"])
def test_clips_are_cropped_where_they_are_written(tmp_path: Path, steps: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.mp4").write_bytes(made(framed((16, 0, 16, 0), 75), options={"crf": "10"}))
    write = f"write: {{path: {tmp_path}/out, format: clips}}\n"
    run(loads(f"source: {{path: {tmp_path}/in}}\nsteps:\n{steps}{write}"), workers=0, quiet=True)
    clips = pq.read_table(tmp_path / "out/clips.parquet").to_pylist()
    assert [(c["width_px"], c["height_px"], c["frame_count"]) for c in clips] == [
        (192, 96, 50),
        (192, 96, 25),
    ]
