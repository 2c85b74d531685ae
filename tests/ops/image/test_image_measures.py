"""Known values, ranges and invariances of every image measure, on pictures made for the purpose."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import xxhash
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from sluice.codec import Picture
from sluice.errors import Declined, SampleError
from sluice.operator import Program, registry
from sluice.ops.image.blockiness import image_blockiness
from sluice.ops.image.colourfulness import image_colourfulness
from sluice.ops.image.content_hash import image_content_hash
from sluice.ops.image.contrast import image_contrast
from sluice.ops.image.descriptor import image_descriptor
from sluice.ops.image.dhash import image_dhash
from sluice.ops.image.entropy import image_entropy
from sluice.ops.image.exposure import image_exposure
from sluice.ops.image.flat_border_ratio import image_flat_border_ratio
from sluice.ops.image.hash256 import image_hash256
from sluice.ops.image.noise import image_noise
from sluice.ops.image.overexposed_ratio import image_overexposed_ratio
from sluice.ops.image.phash import image_phash
from sluice.ops.image.qrcode_area_ratio import image_qrcode_area_ratio
from sluice.ops.image.saturation import image_saturation
from sluice.ops.image.sharpness import image_sharpness, laplacian_variance
from sluice.ops.image.sharpness_normalised import image_sharpness_normalised
from sluice.ops.image.underexposed_ratio import image_underexposed_ratio
from sluice.sample import Item, Media, Sample

NAMES = [
    s.name
    for s in registry()
    if s.scope == "image" and s.kind == "measure" and registry().cost(s) in ("header", "decode")
]
ON_GRAY: list[Callable[[np.ndarray], Any]] = [
    image_blockiness,
    image_contrast,
    image_dhash,
    image_entropy,
    image_exposure,
    image_flat_border_ratio,
    image_hash256,
    image_noise,
    image_overexposed_ratio,
    image_phash,
    image_qrcode_area_ratio,
    image_sharpness_normalised,
    image_underexposed_ratio,
]
ON_RGB: list[Callable[[np.ndarray], Any]] = [image_colourfulness, image_descriptor, image_saturation]


def scene(height: int = 480, width: int = 640, seed: int = 0) -> np.ndarray:
    """Soft coloured blobs with some edges: something like a photograph."""
    random = np.random.default_rng(seed)
    soft = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    picture = np.asarray(soft.resize((width, height), Image.Resampling.BICUBIC)).copy()
    for _ in range(12):
        y, x = int(random.integers(height)), int(random.integers(width))
        colour = random.integers(0, 256, 3).tolist()
        cv2.circle(picture, (x, y), int(random.integers(10, 80)), colour, -1)
    return picture


def gray_of(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))


def jpeg(pixels: np.ndarray, quality: int = 90) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "JPEG", quality=quality)
    return target.getvalue()


def png(pixels: np.ndarray) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


def flat(level: int, shape: tuple[int, ...] = (60, 80)) -> np.ndarray:
    return np.full(shape, level, np.uint8)


def distance(a: Any, b: Any) -> int:
    if isinstance(a, bytes):
        a, b = int.from_bytes(a, "big"), int.from_bytes(b, "big")
    return (a ^ b).bit_count()


def chessboard(side: int = 64) -> np.ndarray:
    return ((np.indices((side, side)).sum(axis=0) % 2) * 255).astype(np.uint8)


@pytest.mark.parametrize("level", [0, 100, 255])
def test_a_constant_picture(level: int) -> None:
    gray, rgb = flat(level), flat(level, (60, 80, 3))
    assert image_exposure(gray) == level
    for zero in (image_contrast, image_entropy, image_noise, image_sharpness_normalised, laplacian_variance):
        assert zero(gray) == 0
    assert image_colourfulness(rgb) == image_saturation(rgb) == 0
    assert image_blockiness(gray) == image_flat_border_ratio(gray) == 1
    assert image_underexposed_ratio(gray) == (level == 0)
    assert image_overexposed_ratio(gray) == (level == 255)
    assert image_qrcode_area_ratio(gray) == 0
    for declines in (image_phash, image_dhash, image_hash256):
        with pytest.raises(Declined, match="structure"):
            declines(gray)
    with pytest.raises(Declined):
        image_descriptor(rgb)


def test_sharpness_equals_the_variance_of_the_64_bit_laplacian() -> None:
    for gray in (gray_of(scene()), chessboard(), flat(3)):
        expected = cv2.Laplacian(gray, cv2.CV_64F).var()
        assert laplacian_variance(gray) == pytest.approx(expected, rel=1e-12)
    assert laplacian_variance(chessboard()) == pytest.approx(1020.0**2)
    rgb = scene()
    picture = Picture(png(rgb))
    expected = np.stack([cv2.Laplacian(rgb[:, :, c], cv2.CV_64F) for c in range(3)]).var()
    assert image_sharpness(picture, gray_of(rgb), channels="rgb") == pytest.approx(expected, rel=1e-12)
    assert image_sharpness(picture, gray_of(rgb)) == laplacian_variance(gray_of(rgb))


def test_blur_lowers_sharpness_and_size_matters_less_when_normalised() -> None:
    gray = gray_of(scene(960, 1280))
    blurred = np.asarray(cv2.GaussianBlur(gray, (0, 0), 6))
    assert laplacian_variance(blurred) < laplacian_variance(gray) / 5
    assert image_sharpness_normalised(blurred) < image_sharpness_normalised(gray)
    half = np.asarray(cv2.resize(gray, (640, 480), interpolation=cv2.INTER_AREA))
    native = laplacian_variance(half) / laplacian_variance(gray)
    normalised = image_sharpness_normalised(half) / image_sharpness_normalised(gray)
    assert abs(math.log(normalised)) < abs(math.log(native)) / 2


def test_two_tones() -> None:
    half = np.hstack([flat(0), flat(255)])
    assert image_contrast(half) == 127.5
    assert image_entropy(half) == 1.0
    assert image_underexposed_ratio(half) == image_overexposed_ratio(half) == 0.5
    assert image_underexposed_ratio(flat(5)) == 1
    assert image_underexposed_ratio(flat(6)) == 0
    assert image_overexposed_ratio(flat(250)) == 1
    assert image_overexposed_ratio(flat(249)) == 0


def test_all_tones_have_eight_bits() -> None:
    assert image_entropy(np.arange(256, dtype=np.uint8).reshape(16, 16)) == 8.0


def test_colourfulness_by_hand() -> None:
    red = np.zeros((10, 10, 3), np.uint8)
    red[:, :, 0] = 255
    assert image_colourfulness(red) == pytest.approx(0.3 * math.hypot(255, 127.5))
    rgb = scene().astype(np.float64)
    rg, yb = rgb[..., 0] - rgb[..., 1], (rgb[..., 0] + rgb[..., 1]) / 2 - rgb[..., 2]
    expected = math.hypot(rg.std(), yb.std()) + 0.3 * math.hypot(rg.mean(), yb.mean())
    assert image_colourfulness(scene()) == pytest.approx(expected, rel=1e-9)


def test_saturation() -> None:
    pixels = np.array([[[255, 0, 0], [128, 128, 128], [0, 0, 0], [200, 100, 150]]], np.uint8)
    assert image_saturation(pixels) == pytest.approx((1 + 0 + 0 + 0.5) / 4, abs=1 / 255)


@pytest.mark.parametrize("sigma", [2, 5, 10, 20])
def test_noise_is_what_was_added(sigma: float) -> None:
    random = np.random.default_rng(1)
    noisy = np.clip(np.rint(128 + random.normal(0, sigma, (400, 400))), 0, 255).astype(np.uint8)
    assert image_noise(noisy) == pytest.approx(sigma, rel=0.02, abs=0.05)
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8), (50, 200)).copy()
    assert image_noise(ramp) == 0


def test_blocks_are_seen_and_hidden_by_a_shift() -> None:
    random = np.random.default_rng(2)
    textured = np.clip(scene() + random.normal(0, 8, (480, 640, 3)), 0, 255).astype(np.uint8)
    plain = image_blockiness(gray_of(textured))
    coarse = gray_of(Picture(jpeg(textured, 10)).rgb())
    assert plain == pytest.approx(1, abs=0.05)
    assert image_blockiness(coarse) > 1.5
    assert image_blockiness(np.ascontiguousarray(coarse[4:, 4:])) < 1
    tiles = np.kron(random.integers(0, 256, (8, 8), dtype=np.uint8), np.ones((8, 8), np.uint8))
    steps = np.concatenate([np.abs(np.diff(tiles.astype(int), axis=a))[s].ravel() for a, s in _EDGES])
    assert image_blockiness(tiles) == pytest.approx(steps.mean() + 1)


_EDGES = [(1, np.s_[:, 7::8]), (0, np.s_[7::8])]


def test_bars_are_measured() -> None:
    picture = gray_of(scene(90, 120))
    boxed = np.pad(picture, ((0, 0), (20, 20)), constant_values=0)
    assert image_flat_border_ratio(boxed) == pytest.approx(0.25)
    both = np.pad(boxed, ((30, 30), (0, 0)), constant_values=255)
    assert image_flat_border_ratio(both) == pytest.approx(1 - 90 * 120 / (150 * 160))
    assert image_flat_border_ratio(picture) == 0


def test_a_code_that_fills_a_quarter() -> None:
    code = zxingcpp.create_barcode("https://example.org", zxingcpp.BarcodeFormat.QRCode)
    drawn = np.array(zxingcpp.write_barcode_to_image(code, scale=8, add_quiet_zones=False))
    side = len(drawn)
    canvas = flat(255, (2 * side, 2 * side))
    canvas[side // 2 : side // 2 + side, side // 2 : side // 2 + side] = drawn
    assert image_qrcode_area_ratio(canvas) == pytest.approx(0.25, abs=0.02)
    turned = np.ascontiguousarray(np.rot90(canvas))
    assert image_qrcode_area_ratio(turned) == pytest.approx(0.25, abs=0.02)
    assert image_qrcode_area_ratio(255 - canvas) == 0
    assert image_qrcode_area_ratio(255 - canvas, inverted=True) == pytest.approx(0.25, abs=0.02)
    large = np.kron(canvas, np.ones((6, 6), np.uint8))
    assert min(large.shape) > 2048
    assert image_qrcode_area_ratio(large) == pytest.approx(0.25, abs=0.02)


def test_content_hash() -> None:
    assert image_content_hash(b"") == "99aa06d3014798d86001c324468d497f"
    assert image_content_hash(b"abc") == xxhash.xxh3_128_hexdigest(b"abc")


def test_dhash_of_ramps() -> None:
    ramp = np.broadcast_to(np.arange(0, 252, 2, dtype=np.uint8), (64, 126)).copy()
    assert image_dhash(ramp) == 2**64 - 1
    assert image_dhash(np.ascontiguousarray(ramp[:, ::-1])) == 0


def _copies(pixels: np.ndarray) -> dict[str, bytes]:
    image = Image.fromarray(pixels)
    half = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    return {
        "png": png(pixels),
        "quality 40": jpeg(pixels, 40),
        "half": jpeg(np.asarray(half)),
        "larger": jpeg(np.asarray(image.resize((900, 675), Image.Resampling.BICUBIC))),
        "blurred": jpeg(np.asarray(image.filter(ImageFilter.GaussianBlur(2)))),
    }


@settings(max_examples=5, deadline=None, derandomize=True)  # the bounds are statistical
@given(st.integers(0, 10_000))
def test_copies_have_near_hashes_and_strangers_far_ones(seed: int) -> None:
    original, stranger = scene(seed=seed), scene(seed=seed + 20_000)
    luma, vector = Picture(png(original)).small_luma(128), image_descriptor(Picture(png(original)).small(128))
    assert float(vector @ vector) == pytest.approx(1, abs=1e-5)
    other = Picture(png(stranger))
    for hashed, near, far in ((image_phash, 8, 14), (image_dhash, 8, 12), (image_hash256, 28, 70)):
        for name, data in _copies(original).items():
            assert distance(hashed(luma), hashed(Picture(data).small_luma(128))) <= near, (hashed, name)
        assert distance(hashed(luma), hashed(other.small_luma(128))) >= far
    for name, data in _copies(original).items():
        assert float(vector @ image_descriptor(Picture(data).small(128))) >= 0.95, name
    assert float(vector @ image_descriptor(other.small(128))) < 0.8


SIZES = st.one_of(st.integers(1, 24), st.integers(1, 300))


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, st.integers(0, 255), st.booleans())
def test_any_size_gives_a_value_in_range_or_a_sample_error(
    height: int, width: int, level: int, noisy: bool
) -> None:
    random = np.random.default_rng(level)
    shape = (height, width, 3)
    rgb = random.integers(0, 256, shape, dtype=np.uint8) if noisy else flat(level, shape)
    for call in (*ON_GRAY, *ON_RGB):
        try:
            value = call(rgb if call in ON_RGB else gray_of(rgb))
        except SampleError:
            continue
        field = call.spec.outputs[0].field  # type: ignore[attr-defined]
        if isinstance(value, float):
            assert math.isfinite(value)
            assert field.ge is None or value >= field.ge
            assert field.le is None or value <= field.le


def _samples(datas: list[bytes]) -> list[Sample]:
    return [
        Sample(id=str(k), key=str(k), items=(Item("image", media=Media(data=d)),))
        for k, d in enumerate(datas)
    ]


def _program() -> Program:
    return Program([registry().bind(name) for name in NAMES])


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 3), (16, 16)])
def test_tiny_pictures_fail_nobody(shape: tuple[int, int]) -> None:
    measured = _program()(
        _samples([png(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))])
    )
    assert {note.kind for note in measured.notes[0]} <= {"declined"}


def test_a_turned_picture_measures_as_the_upright_one() -> None:
    upright = scene()
    exif = Image.Exif()
    exif[0x0112] = 6
    target = io.BytesIO()
    Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90).save(target, "PNG", exif=exif)
    measured = _program()(_samples([png(upright), target.getvalue()]))
    differ = {"image_size_bytes", "image_content_hash"}
    for name, values in measured.columns.items():
        if name not in differ:
            assert np.array_equal(values[0][0], values[1][0]), name


def test_a_truncated_picture_keeps_its_header_and_says_why_the_rest_is_null() -> None:
    data = jpeg(scene())
    measured = _program()(_samples([data[: len(data) // 2]]))
    assert measured.columns["image_width_px"] == [[640]]
    assert measured.columns["image_exposure"] == [[None]]
    assert {note.reason for note in measured.notes[0]} == {"truncated"}


def test_a_picture_that_is_not_there_is_unreadable_not_an_error(tmp_path: Path) -> None:
    absent = Item("image", media=Media(uri=str(tmp_path / "gone.jpg"), offset=0, size=100))
    nothing = Item("image")
    for item, reason in ((absent, "bytes not readable"), (nothing, "no bytes")):
        measured = _program()([Sample(id="0", key="0", items=(item,))])
        assert {(note.kind, note.reason) for note in measured.notes[0]} == {("unreadable", reason)}
