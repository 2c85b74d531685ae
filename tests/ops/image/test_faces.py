"""Faces: found on real photographs, counted, measured and blurred; nothing else of the picture changes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from onnx_files import mean_classifier
from sluice.codec import decode, probe
from sluice.errors import PlanError
from sluice.operator import Program, registry
from sluice.operator.mapping import MapperChain
from sluice.ops.image.blur_faces import _blur
from sluice.ops.image.face_area_ratio import union_area
from sluice.ops.image.faces import Faces, _without_overlaps, faces
from sluice.sample import Item, Media, Sample

DETECTOR = "Ultra-Light-Fast-Generic-Face-Detector-1MB__version-RFB-320.onnx"
SEEN = {
    "edgetpu__face.jpg": 4,
    "data-juicer__img8.jpg": 4,
    "LAION-5B-WatermarkDetection__watermark_example.png": 5,
    "scikit-image__astronaut.png": 1,
    "scikit-image__camera.png": 1,
    "Pillow__hopper_gray.jpg": 1,
    "Pillow__hopper_orientation_6.jpg": 1,
    "scikit-image__coffee.png": 0,
    "scikit-image__page.png": 0,
    "edgetpu__owl.jpg": 0,
    "sharp__Landscape_1.jpg": 0,
    "RapidOCR__empty_black.jpg": 0,
}
"""Faces in photographs, as people count them."""


@pytest.fixture(scope="module")
def model(data_dir: Path) -> str:
    return str(data_dir / "models" / DETECTOR)


@pytest.fixture(scope="module")
def detector(model: str) -> faces:
    found = faces(model=model)
    found.open()
    return found


def sample(data: bytes, name: str = "") -> Sample:
    return Sample("k", "k", (Item("image", name=name, media=Media(data=data)),))


def values(names: list[str], datas: list[bytes], model: str) -> dict[str, list[Any]]:
    program = Program([registry().bind(name, with_={"faces": {"model": model}}) for name in names])
    measured = program([sample(data) for data in datas])
    assert not any(measured.notes), measured.notes
    return {name: [each[0] for each in column] for name, column in measured.columns.items()}


def test_as_many_faces_are_counted_as_people_see(data_dir: Path, model: str) -> None:
    datas = [(data_dir / "photos" / name).read_bytes() for name in SEEN]
    found = values(["image_face_count", "image_face_area_ratio"], datas, model)
    assert dict(zip(SEEN, found["image_face_count"], strict=True)) == SEEN
    for count, share in zip(found["image_face_count"], found["image_face_area_ratio"], strict=True):
        assert (share > 0) == (count > 0)
        assert share < 0.3


def test_pictures_of_the_models_size_are_prepared_as_its_own_code_does(
    data_dir: Path, model: str, detector: faces
) -> None:
    rgb = decode((data_dir / "photos" / "mmaction2__img_00001.jpg").read_bytes())
    assert rgb.shape == (240, 320, 3)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    plain = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    given = ((rgb - np.array([127, 127, 127])) / 128).transpose(2, 0, 1)[None].astype(np.float32)
    scores, boxes = plain.run(None, {"input": given})
    best = scores[0, :, 1].argmax()
    found = detector(rgb)
    assert found.scores[0] == pytest.approx(float(scores[0, best, 1]), abs=1e-5)
    assert found.boxes[0] == pytest.approx(boxes[0, best].clip(0, 1), abs=1e-5)


def test_a_mirrored_picture_has_mirrored_faces(data_dir: Path, detector: faces) -> None:
    rgb = decode((data_dir / "photos" / "edgetpu__face.jpg").read_bytes())
    there = detector(rgb).at_least(0.9)
    back = detector(np.ascontiguousarray(rgb[:, ::-1])).at_least(0.9)[:, [2, 1, 0, 3]]
    back[:, [0, 2]] = 1 - back[:, [0, 2]]
    assert np.sort(back, axis=0) == pytest.approx(np.sort(there, axis=0), abs=0.03)


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "1x1", "1x10000", "10000x1"])
def test_odd_pictures_get_a_value(mode: str, model: str) -> None:
    sizes = {"1x1": (1, 1), "1x10000": (1, 10_000), "10000x1": (10_000, 1)}
    picture = Image.new(mode if mode not in sizes else "RGB", sizes.get(mode, (40, 30)))
    out = io.BytesIO()
    picture.save(out, "JPEG" if mode == "CMYK" else "PNG")
    found = values(["image_face_count", "image_face_area_ratio"], [out.getvalue()], model)
    assert found == {"image_face_count": [0], "image_face_area_ratio": [0.0]}


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = faces(model=mean_classifier(tmp_path / "m.onnx"))
    with pytest.raises(PlanError, match="scores and boxes"):
        other.open()


CORNER = st.integers(0, 16).map(lambda k: k / 16)
BOX = st.tuples(CORNER, CORNER, CORNER, CORNER).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)


@given(st.lists(BOX, max_size=8))
def test_the_union_is_what_counting_squares_gives(boxes: list[tuple[float, ...]]) -> None:
    squares = np.zeros((16, 16), bool)
    for left, top, right, bottom in boxes:
        squares[int(top * 16) : int(bottom * 16), int(left * 16) : int(right * 16)] = True
    given = np.array(boxes).reshape(-1, 4)
    assert union_area(given) == squares.mean()
    assert union_area(np.vstack([given, given])) == squares.mean()


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(sides.clip(0).prod())
    return shared / (float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - shared)


@settings(deadline=None)
@given(st.lists(st.tuples(BOX, st.floats(0, 1)), max_size=12))
def test_of_boxes_that_overlap_the_surest_stays(found: list[tuple[tuple[float, ...], float]]) -> None:
    boxes = np.array([box for box, _ in found]).reshape(-1, 4)
    scores = np.array([score for _, score in found])
    kept = _without_overlaps(boxes, scores)
    assert list(kept.scores) == sorted(kept.scores, reverse=True)
    for k, box in enumerate(kept.boxes):
        assert kept.scores[k] >= 0.5
        assert all(overlap(box, other) <= 0.5 + 1e-9 for other in kept.boxes[k + 1 :])
    for box, score in zip(boxes, scores, strict=True):
        if score > 0.5 + 1e-6 and (box[2:] > box[:2]).all():
            above = kept.boxes[kept.scores >= score - 1e-6]
            assert any(overlap(box, other) > 0.5 - 1e-9 for other in above)


def test_a_higher_bound_never_counts_more() -> None:
    seen = Faces(np.array([[0, 0, 0.1, 0.1], [0.5, 0.5, 1, 1]]), np.array([0.9, 0.6]))
    assert [len(seen.at_least(score)) for score in (0.5, 0.6, 0.7, 0.9, 0.95)] == [2, 2, 1, 1, 0]


def blurred(data: bytes, model: str, name: str = "a.png", **settings: Any) -> Item:
    instance = registry().bind("image_blur_faces", settings, with_={"faces": {"model": model}})
    (mapped,) = MapperChain([instance])([sample(data, name)])
    assert mapped.notes == ()
    return mapped.items[0]


def detail(rgb: np.ndarray) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


@pytest.mark.parametrize("strength", [0.1, 0.3, 1.0])
def test_no_detail_of_a_face_stays_and_all_else_does(
    strength: float, data_dir: Path, model: str, detector: faces
) -> None:
    data = (data_dir / "photos" / "scikit-image__astronaut.png").read_bytes()
    before, item = decode(data), blurred(data, model, strength=strength)
    assert item.media is not None
    after = decode(item.media.read())
    left, top, right, bottom = (detector(before).boxes[0] * 512).round().astype(int)
    inside = np.s_[top:bottom, left:right]
    assert detail(after[inside]) < detail(before[inside]) / 200
    margin = int(0.1 * max(right - left, bottom - top)) + 2
    outside = np.ones(before.shape[:2], bool)
    outside[top - margin : bottom + margin, left - margin : right + margin] = False
    assert np.array_equal(before[outside], after[outside])
    assert not len(detector(after).at_least(0.7))


def test_the_new_version_keeps_the_format_and_stands_upright(data_dir: Path, model: str) -> None:
    for name, kind in (("Pillow__hopper_orientation_6.jpg", "JPEG"), ("Pillow__hopper.webp", "WEBP")):
        item = blurred((data_dir / "photos" / name).read_bytes(), model, name)
        assert item.media is not None
        header = probe(item.media.read())
        assert (header.format, header.orientation, item.name) == (kind, 1, name)
    item = blurred((data_dir / "photos" / "Pillow__hopper.gif").read_bytes(), model, "hopper.gif")
    assert (item.name, item.content_type) == ("hopper.png", "image/png")


def test_a_picture_without_faces_keeps_its_bytes(data_dir: Path, model: str) -> None:
    data = (data_dir / "photos" / "scikit-image__coffee.png").read_bytes()
    item = blurred(data, model)
    assert item.media is not None
    assert item.media.read() == data


@settings(max_examples=60, deadline=None)
@given(BOX, st.integers(1, 60), st.integers(1, 60), st.floats(0.05, 1))
def test_blurring_reaches_no_farther_than_a_tenth_beyond_the_box(
    box: tuple[float, ...], height: int, width: int, strength: float
) -> None:
    before = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    after, corners = before.copy(), np.array(box) * (width, height, width, height)
    _blur(after, corners, strength)
    margin = max(1.0, 0.1 * max(corners[2] - corners[0], corners[3] - corners[1])) + 1
    rows, columns = np.indices((height, width))
    near = (rows >= corners[1] - margin) & (rows <= corners[3] + margin)
    near &= (columns >= corners[0] - margin) & (columns <= corners[2] + margin)
    assert np.array_equal(before[~near], after[~near])
