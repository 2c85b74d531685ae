"""Text area: sensible on real photographs and scans, right on drawn text, and no cat is text."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from onnx_files import bright_faces, bright_text, column_reader, mean_classifier
from sluice.codec import decode
from sluice.errors import PlanError
from sluice.operator import Program, registry
from sluice.ops.image.text_area_ratio import covered
from sluice.ops.image.text_boxes import text_boxes
from sluice.sample import Item, Media, Sample

SEEN = {
    "RapidOCR__ch_en_num.jpg": (0.35, 0.6),
    "RapidOCR__en.jpg": (0.35, 0.6),
    "scikit-image__page.png": (0.45, 0.75),
    "RapidOCR__devanagari.jpg": (0.2, 0.45),
    "img2dataset__389_535.jpg": (0.1, 0.25),  # MOTEL, in letters as thick as a house
    "Qwen3-VL__ocr_example5.jpg": (0.08, 0.16),
    "sharp__Landscape_1.jpg": (0.01, 0.06),  # a street sign
    "edgetpu__hot_dog.jpg": (0.002, 0.03),  # a receipt
    "data-juicer__cat.jpg": (0, 0),
    "scikit-image__coffee.png": (0, 0),
    "scikit-image__retina.jpg": (0, 0),
    "mmpretrain__bird.JPEG": (0, 0),
    "libvips__sample.png": (0, 0),
    "zxing__qrcode-4__01.webp": (0, 0),
    "RapidOCR__empty_black.jpg": (0, 0),
}
"""The share of text in photographs as people would bound it; what is without text has none."""


@pytest.fixture(scope="module")
def detector() -> text_boxes:
    found = text_boxes()
    found.open()
    return found


def drawn(height_px: int, words: str = "HAMBURG") -> tuple[np.ndarray, float]:
    """Dark words on a light soft ground, and the share that their own box takes."""
    soft = Image.fromarray(np.random.default_rng(0).integers(150, 220, (6, 8, 3), dtype=np.uint8))
    picture = soft.resize((640, 480), Image.Resampling.BICUBIC)
    font = ImageFont.load_default(size=height_px)
    draw = ImageDraw.Draw(picture)
    left, top, right, bottom = draw.textbbox((30, 120), words, font=font)
    draw.text((30, 120), words, fill=(20, 10, 40), font=font)
    return np.asarray(picture), (right - left) * (bottom - top) / (640 * 480)


def test_shares_are_what_people_would_say(data_dir: Path) -> None:
    samples = [
        Sample(name, name, (Item("image", media=Media(data=(data_dir / "photos" / name).read_bytes())),))
        for name in SEEN
    ]
    measured = Program([registry().bind("image_text_area_ratio")])(samples)
    found = {
        name: values[0] for name, values in zip(SEEN, measured.columns["image_text_area_ratio"], strict=True)
    }
    wrong = {name: found[name] for name, (low, high) in SEEN.items() if not low <= found[name] <= high}
    assert wrong == {}


@pytest.mark.parametrize(
    ("height_px", "words"), [(24, "HAMBURG"), (60, "HAMBURG"), (120, "SALE"), (200, "SALE")]
)
def test_drawn_text_covers_about_its_box(height_px: int, words: str, detector: text_boxes) -> None:
    picture, expected = drawn(height_px, words)
    assert 0.8 * expected < covered(detector(picture).quads) < 1.7 * expected


def test_text_is_found_turned_and_mirrored_in_size(detector: text_boxes) -> None:
    picture, _ = drawn(40)
    upright = covered(detector(picture).quads)
    assert covered(detector(np.ascontiguousarray(np.rot90(picture))).quads) == pytest.approx(
        upright, rel=0.25
    )
    larger = cv2.resize(picture, (1920, 1440), interpolation=cv2.INTER_CUBIC)
    assert covered(detector(larger).quads) == pytest.approx(upright, rel=0.25)


def test_boxes_agree_with_those_of_rapidocr(data_dir: Path, detector: text_boxes) -> None:
    from rapidocr import RapidOCR

    quiet = {"Global.log_level": "critical", "EngineConfig.onnxruntime.intra_op_num_threads": 1}
    theirs = RapidOCR(params={**quiet, "Global.use_cls": False, "Global.use_rec": False})
    for name in ("Qwen3-VL__ocr_example5.jpg", "RapidOCR__devanagari.jpg", "scikit-image__page.png"):
        rgb = decode((data_dir / "photos" / name).read_bytes())
        found = theirs(np.ascontiguousarray(rgb[:, :, ::-1]), use_det=True, use_cls=False, use_rec=False)
        pair = [
            mask(np.asarray(found.boxes, np.float64) / (rgb.shape[1], rgb.shape[0])),
            mask(detector(rgb).quads),
        ]
        assert np.logical_and(*pair).sum() / np.logical_or(*pair).sum() > 0.8, name


def mask(quads: np.ndarray) -> np.ndarray:
    drawn_on = np.zeros((1000, 1000), np.uint8)
    for quad in quads:
        cv2.fillConvexPoly(drawn_on, (quad * 1000).round().astype(np.int32), 1)
    return drawn_on > 0


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Models by whose rules the outcome is known: what is bright is text, and each column reads as a channel."""
    folder = tmp_path_factory.mktemp("models")
    return {"model": bright_text(folder / "d.onnx"), "reader": column_reader(folder / "r.onnx")}


GREENISH, REDDISH, BLUISH, WHITE = (180, 255, 180), (255, 180, 180), (180, 180, 255), (255, 255, 255)
"""Light colours: all are text to the detector; the reader takes blue, and black, for a blank."""


def with_block(height: int, *colours: tuple[int, int, int]) -> np.ndarray:
    """A black picture of 640 x 320 with a light block in its middle, 300 px wide, of colours side by side."""
    picture = np.zeros((320, 640, 3), np.uint8)
    top = (320 - height) // 2
    for part, colour in zip(np.split(np.arange(170, 470), len(colours)), colours, strict=True):
        picture[top : top + height, part] = colour
    return picture


def test_a_box_grows_by_the_detectors_own_factor(stand_ins: dict[str, str]) -> None:
    found = text_boxes(**stand_ins)
    found.open()
    (quad,) = found(with_block(40, WHITE)).quads
    size = (quad.max(axis=0) - quad.min(axis=0)) * (640, 320)
    growth = 1.5 * 299 * 39 / (299 + 39)
    assert size == pytest.approx([299 + growth, 39 + growth], abs=1.5)


@pytest.mark.parametrize(
    ("height", "colours", "count"),
    [
        (60, (BLUISH,), 1),  # thin: not read
        (100, (BLUISH,), 0),  # thick and blank
        (100, (GREENISH,), 0),  # one character
        (100, (GREENISH, BLUISH), 0),
        (100, (GREENISH, REDDISH), 1),
        (100, (GREENISH, BLUISH, GREENISH), 1),  # the same character twice
    ],
)
def test_thick_boxes_count_only_where_two_characters_are_read(
    height: int, colours: tuple[tuple[int, int, int], ...], count: int, stand_ins: dict[str, str]
) -> None:
    found = text_boxes(**stand_ins)
    found.open()
    assert len(found(with_block(height, *colours)).quads) == count


def test_models_of_another_kind_are_refused(tmp_path: Path, stand_ins: dict[str, str]) -> None:
    for wrong, match in (
        ({"model": bright_faces(tmp_path / "f.onnx")}, "DBNet"),
        ({"reader": mean_classifier(tmp_path / "c.onnx")}, "48 px"),
    ):
        with pytest.raises(PlanError, match=match):
            text_boxes(**{**stand_ins, **wrong}).open()


@pytest.mark.parametrize("shape", [(1, 1), (1, 10_000), (10_000, 1), (3, 3), (33, 2000)])
@pytest.mark.parametrize("level", [0, 255])
def test_odd_shapes_get_a_value(shape: tuple[int, int], level: int, detector: text_boxes) -> None:
    picture = np.full((*shape, 3), level, np.uint8)
    assert 0 <= covered(detector(picture).quads) <= 1


def test_gray_and_transparent_pictures_read_as_others(data_dir: Path) -> None:
    page = Image.open(data_dir / "photos" / "scikit-image__page.png").convert("L")
    datas = []
    for mode in ("L", "RGB", "RGBA"):
        out = io.BytesIO()
        page.convert(mode).save(out, "PNG")
        datas.append(out.getvalue())
    samples = [Sample(str(k), str(k), (Item("image", media=Media(data=d)),)) for k, d in enumerate(datas)]
    measured = Program([registry().bind("image_text_area_ratio")])(samples)
    (gray,), *others = measured.columns["image_text_area_ratio"]
    assert gray > 0.4
    assert others == [[gray], [gray]]


SIDE = st.floats(0.02, 0.98)


@settings(deadline=None)
@given(st.lists(st.tuples(SIDE, SIDE, SIDE, SIDE), max_size=5))
def test_upright_boxes_cover_what_counting_points_gives(corners: list[tuple[float, ...]]) -> None:
    points = (np.arange(1024) + 0.5) / 1024
    hit = np.zeros((1024, 1024), bool)
    quads = []
    for x0, y0, x1, y1 in corners:
        left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
        quads.append([(left, top), (right, top), (right, bottom), (left, bottom)])
        inside_x, inside_y = (points >= left) & (points <= right), (points >= top) & (points <= bottom)
        hit |= inside_y[:, None] & inside_x[None, :]
    given: Any = np.array(quads).reshape(-1, 4, 2)
    assert covered(given) == pytest.approx(hit.mean(), abs=1e-4)
    assert covered(np.vstack([given, given[:, ::-1]])) == pytest.approx(hit.mean(), abs=1e-4)


@pytest.mark.parametrize("degrees", [0, 10, 45, 80])
def test_a_turned_square_covers_its_area(degrees: int) -> None:
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    square = np.array([[-0.2, -0.2], [0.2, -0.2], [0.2, 0.2], [-0.2, 0.2]]) @ turn + 0.5
    assert covered(square[None]) == pytest.approx(0.16, abs=1e-3)
    assert covered(np.array([square, square + 1])) == pytest.approx(0.16, abs=1e-3)
