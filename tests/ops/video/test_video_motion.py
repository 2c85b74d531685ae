"""Motion of videos: by the codec's vectors, by optical flow, and how much the camera shakes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from made_videos import made
from sluice.codec.video import decode
from sluice.codec.video.motion_vectors import MOTION_VECTOR
from sluice.ops.video.motion_vectors import speeds
from sluice.sample import Media
from video_measures import measured, value

CLIP = "cosmos-curate__test_clip_10s.mp4"
NO_REORDERING = {"bf": "0", "refs": "1", "g": "40", "crf": "12"}
NAMES = ("video_motion_vector", "video_flow_magnitude", "video_motion_score", "video_camera_shake")


def moving(places: NDArray[np.float64], width: int = 320, height: int = 256) -> Iterator[NDArray[np.uint8]]:
    """A textured wall seen from these places (x, y in pixels)."""
    random = np.random.default_rng(5)
    wall = cv2.resize(
        random.integers(0, 256, (90, 200, 3), np.uint8), (1600, 720), interpolation=cv2.INTER_CUBIC
    )
    for x, y in places:
        shift = np.array([[1, 0, -x - 100], [0, 1, -y - 100]], np.float64)
        yield np.asarray(cv2.warpAffine(wall, shift, (width, height)), np.uint8)


def pan(count: int, by_px: float) -> NDArray[np.float64]:
    return np.stack([np.arange(count) * by_px, np.zeros(count)], axis=1)


def test_the_peers_motion_on_its_own_clip(data_dir: Path) -> None:
    clip = Media(str(data_dir / "videos" / CLIP))
    found, notes = measured(clip, video_motion_vector={"sampling": "point", "first_half": True})
    assert notes == []
    assert found["video_motion_vector_mean"] == pytest.approx(0.002402, abs=1e-5)
    assert found["video_motion_vector_patch_min"] == pytest.approx(0.001553, abs=1e-5)


def test_the_whole_clip_is_looked_at_not_its_first_half() -> None:
    still_then_fast = np.concatenate([np.zeros((100, 2)), pan(100, 4.0)])
    data = made(moving(still_then_fast), options=NO_REORDERING)
    whole = measured(data, "video_motion_vector")[0]["video_motion_vector_mean"]
    half = measured(data, video_motion_vector={"first_half": True})[0]["video_motion_vector_mean"]
    end = measured(Media(data=data, start_s=4.5), "video_motion_vector")[0]["video_motion_vector_mean"]
    assert end == pytest.approx(4.0 / (320 + 256), rel=0.15)
    assert half < 0.3 * end
    assert whole == pytest.approx(end / 2, rel=0.3)


def test_a_still_corner_is_the_least_patch() -> None:
    def half_still() -> Iterator[NDArray[np.uint8]]:
        (still,) = moving(pan(1, 0.0), 512, 256)
        for picture in moving(pan(50, 4.0), 512, 256):
            picture[:, 256:] = still[:, 256:]
            yield picture

    found, _ = measured(made(half_still(), options=NO_REORDERING), "video_motion_vector")
    assert found["video_motion_vector_patch_min"] < 0.1 * found["video_motion_vector_mean"]
    small, notes = measured(made(moving(pan(50, 4.0), 160, 96), options=NO_REORDERING), "video_motion_vector")
    assert small["video_motion_vector_mean"] > 0
    assert small["video_motion_vector_patch_min"] is None
    assert [n.kind for n in notes] == ["declined"]


def test_later_blocks_lie_over_earlier_ones_and_sizes_have_their_order() -> None:
    def block(x: int, y: int, w: int, h: int, motion: int) -> tuple[int, ...]:
        return (-1, w, h, x, y, x + w // 2, y + h // 2, 0, 4 * motion, 0, 4)

    vectors = np.array(
        [block(0, 0, 16, 16, 8), block(0, 0, 8, 8, 99), block(8, 8, 16, 16, 2), block(16, 8, 8, 16, 6)],
        MOTION_VECTOR,
    )
    # cells of 8 px: three of the first block, one of them overlaid; four of the second, two overlaid
    found = speeds(vectors, 32, 32, (0, 0, 32, 32))
    total = (3 * 8 + 2 * 2 + 2 * 6) * 64
    assert found.mean == pytest.approx(total / (32 * 32) / 64)
    part = speeds(
        vectors, 32, 32, (12, 8, 16, 8)
    )  # half a cell of the second, one of the last, half a still one
    assert part.mean == pytest.approx((4 * 2 + 8 * 6) / 16 / (16 + 8))


@pytest.mark.parametrize("codec", ["libx265", "libvpx-vp9"])
def test_codecs_that_give_no_vectors_are_declined_and_have_flow(codec: str) -> None:
    options = (
        {"x265-params": "log-level=none"} if codec == "libx265" else {"cpu-used": "8", "deadline": "realtime"}
    )
    container = "mp4" if codec == "libx265" else "webm"
    data = made(moving(pan(30, 1.0)), codec=codec, container=container, options=options)
    found, notes = measured(data, "video_motion_vector", "video_flow_magnitude")
    assert found["video_motion_vector_mean"] is None
    assert {(n.kind, n.reason) for n in notes} == {("declined", "no motion vectors")}
    assert found["video_flow_magnitude"] > 0.005


def test_flow_is_the_way_that_pixels_go_between_two_frames_of_the_grid() -> None:
    data = made(moving(pan(51, 0.5)))  # 6.25 pixels in half a second
    score = value(data, "video_motion_score")
    assert score == pytest.approx(6.25, rel=0.2)
    diagonal = float(np.hypot(320, 256))
    assert value(data, "video_motion_score", relative=True) == pytest.approx(score / diagonal)
    assert value(data, "video_flow_magnitude") == pytest.approx(score / diagonal, rel=0.1)
    assert value(data, "video_motion_score", fps=4.0) == pytest.approx(3.1, rel=0.25)
    small = value(data, "video_motion_score", side_px=128)
    assert small == pytest.approx(score / 2, rel=0.1)
    assert value(made(moving(pan(51, 0.0))), "video_motion_score") < 0.1


def test_the_pair_across_a_clips_start_is_not_its_own() -> None:
    jump = np.concatenate([np.zeros((50, 2)), np.full((50, 2), 9.0)])
    data = made(moving(jump))
    assert value(Media(data=data, start_s=2.0), "video_motion_score") < 0.1
    assert value(Media(data=data, start_s=1.0), "video_motion_score") > 1.0


def test_reference_pairs_are_data_juicers() -> None:
    data = made(moving(pan(40, 1.5), 160, 128), fps=10)
    grey = [cv2.cvtColor(f.rgb(), cv2.COLOR_RGB2GRAY) for f in decode(Media(data=data))]
    taken = [grey[0], grey[1], *grey[5::5]]
    scores = []
    for before, after in pairwise(taken):
        flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)  # type: ignore[call-overload]
        scores.append(np.linalg.norm(flow, axis=2).mean())
    assert value(data, "video_motion_score", pairs="reference") == pytest.approx(np.mean(scores), rel=1e-4)
    assert value(data, "video_motion_score") != pytest.approx(np.mean(scores), rel=0.02)


def test_pans_are_smooth_and_hands_shake() -> None:
    random = np.random.default_rng(0)
    steady = value(made(moving(pan(75, 2.0))), "video_camera_shake")
    trembling = pan(75, 2.0) + random.normal(0, 2.0, (75, 2))
    shaking = value(made(moving(trembling)), "video_camera_shake")
    diagonal = float(np.hypot(320, 256))
    assert steady < 0.3 / diagonal
    assert shaking == pytest.approx(
        2.0 * np.sqrt(np.pi / 2) / diagonal, rel=0.2
    )  # a Rayleigh distribution's mean
    half = value(made(moving(pan(75, 2.0) + (trembling - pan(75, 2.0)) / 2)), "video_camera_shake")
    assert half == pytest.approx(shaking / 2, rel=0.2)


def test_a_cut_is_no_jolt() -> None:
    far = np.concatenate([pan(40, 1.0), pan(40, 1.0) + 300.0])
    assert value(made(moving(far)), "video_camera_shake") < 0.5 / float(np.hypot(320, 256))


def test_one_frame_has_no_motion() -> None:
    found, notes = measured(made(moving(pan(1, 0.0))), *NAMES)
    assert set(found.values()) == {None}
    assert {(n.kind, n.reason) for n in notes} == {
        ("declined", "no frames"), ("declined", "one frame"), ("declined", "too short"),
    }  # fmt: skip
