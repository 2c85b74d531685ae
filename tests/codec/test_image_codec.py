"""Pixels mean one thing for every format, and whatever is wrong with the bytes has a stable reason."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sluice.codec import Limits, Picture, decode, decode_small, halve, probe, set_limits, shrink
from sluice.codec.exif import exif_orientation
from sluice.codec.jpeg import JpegHead, jpeg_head
from sluice.errors import LimitError, SampleError, UnreadableError

UNDECODABLE = {"metadata-extractor-images__IMG_2927.HEIC": "unsupported format"}
LARGEST_PX = 5_000_000  # the 20-megapixel AVIF takes two seconds and shows nothing more


def scene(height: int = 120, width: int = 200, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encoded(picture: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(target, kind, **options)
    return target.getvalue()


def with_orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


def photos(data_dir: Path) -> list[dict[str, Any]]:
    manifest = json.loads((data_dir / "MANIFEST.json").read_text(encoding="utf-8"))
    return [f for f in manifest["files"] if f["path"].startswith("photos/") and f.get("kind") == "image"]


@pytest.fixture
def limits() -> Iterator[Any]:
    former = set_limits(Limits())
    yield set_limits
    set_limits(former)


def test_photographs_are_as_the_manifest_says(data_dir: Path) -> None:
    for entry in photos(data_dir):
        data = (data_dir / entry["path"]).read_bytes()
        name = Path(entry["path"]).name
        if name in UNDECODABLE:
            with pytest.raises(UnreadableError) as caught:
                probe(data)
            assert caught.value.reason == UNDECODABLE[name]
            continue
        header = probe(data)
        sides = {(header.stored_width_px, header.stored_height_px), (header.width_px, header.height_px)}
        assert (entry["width"], entry["height"]) in sides, name
        assert header.format == {"MPO": "JPEG"}.get(entry["format"], entry["format"]), name
        assert header.orientation == entry.get("exif_orientation", header.orientation), name
        assert header.size_bytes == len(data)
        if entry["format"] != "MPO":
            assert header.frames == entry.get("frames", 1), name
        if header.width_px * header.height_px <= LARGEST_PX:
            assert decode(data).shape == (header.height_px, header.width_px, 3), name


def test_own_jpeg_headers_agree_with_pillow(data_dir: Path) -> None:
    seen = 0
    for path in sorted((data_dir / "photos").iterdir()):
        data = path.read_bytes() if path.is_file() else b""
        head = jpeg_head(data)
        if isinstance(head, JpegHead):
            with Image.open(io.BytesIO(data)) as image:
                assert (*image.size, image.mode) == (head.width_px, head.height_px, head.mode)
                assert image.getexif().get(0x0112, 1) == head.orientation
            seen += 1
    assert seen > 100


def test_strict_jpeg_pixels_are_pillows(data_dir: Path) -> None:
    for name in ("xtuner__mscoco_dog_000000319154.jpg", "mmpretrain__gray.jpg", "sharp__random.jpg"):
        data = (data_dir / "photos" / name).read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(decode(data), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_orientation_is_undone(kind: str, orientation: int) -> None:
    upright = scene()
    turned = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # PIL.Image.Transpose
    stored = Image.fromarray(upright)
    if turned is not None:
        stored = stored.transpose(Image.Transpose(turned))
    options: dict[str, Any] = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 100}}[
        kind
    ]
    options["exif"] = with_orientation(orientation)
    if kind == "JPEG":
        options["subsampling"] = 0
    data = encoded(stored, kind, **options)
    header = probe(data)
    assert (header.width_px, header.height_px) == (200, 120)
    assert (header.stored_width_px, header.stored_height_px) == stored.size
    assert header.orientation == orientation
    difference = np.abs(decode(data).astype(int) - upright)
    assert difference.max() <= (4 if kind == "JPEG" else 0)


def test_transparency_lies_over_white() -> None:
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[:, :2] = (10, 20, 30, 255)
    pixels[:, 2:4] = (10, 20, 30, 0)
    pixels[:, 4:] = (0, 0, 0, 128)
    shown = decode(encoded(pixels, "PNG"))
    assert shown[0, 0].tolist() == [10, 20, 30]
    assert shown[0, 2].tolist() == [255, 255, 255]
    assert shown[0, 4].tolist() == [127, 127, 127]
    gray = Image.fromarray(np.full((4, 4), 9, np.uint8)).convert("LA")
    gray.putalpha(0)
    assert decode(encoded(gray, "PNG")).min() == 255
    keyed = Image.fromarray(np.zeros((4, 4), np.uint8)).convert("P")
    data = encoded(keyed, "PNG", transparency=0)
    assert decode(data).min() == 255
    assert probe(data).has_alpha


def test_sixteen_bits_become_eight() -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    expected = [0, 0, 1, 1, 128, 255]
    for kind in ("PNG", "TIFF"):
        shown = decode(encoded(Image.fromarray(values), kind))
        assert shown[0, :, 0].tolist() == expected
        assert (shown == shown[:, :, :1]).all()


def test_pictures_without_a_fixed_white() -> None:
    unit = Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    assert decode(encoded(unit, "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    wide = Image.fromarray(np.array([[-10.0, 0.0, 10.0, np.nan]], np.float32))
    assert decode(encoded(wide, "TIFF"))[0, :, 0].tolist() == [0, 128, 255, 128]
    integers = Image.fromarray(np.array([[0, 1 << 20]], np.int32))
    assert decode(encoded(integers, "TIFF"))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "LAB", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.fromarray(scene())
    if mode == "LAB":
        image = Image.fromarray(np.full((8, 8, 3), 128, np.uint8)).convert("RGB")
        image = Image.frombytes("LAB", (8, 8), bytes([128, 0, 0]) * 64)
    elif mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    shown = decode(encoded(image, "TIFF"))
    assert shown.dtype == np.uint8
    assert shown.shape == (image.height, image.width, 3)


def test_cmyk_jpeg_looks_as_it_did() -> None:
    data = encoded(Image.fromarray(scene()).convert("CMYK"), "JPEG", quality=95)
    assert probe(data).mode == "CMYK"
    assert np.abs(decode(data).astype(int) - scene()).mean() < 3


def test_animations_give_their_first_frame() -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (0, 100, 200)]
    for kind in ("GIF", "WEBP", "PNG", "AVIF"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
        assert probe(data).frames == 3
        assert decode(data).max() <= 4


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from([1, 3]), st.integers(1, 200))
def test_shrink_keeps_its_promise(height: int, width: int, channels: int, side: int) -> None:
    pixels = np.full((height, width, channels), 77, np.uint8)
    small = shrink(pixels, side)
    assert min(small.shape[:2]) == min(side, height, width)
    assert (small == 77).all()
    if min(height, width) > side:
        long = max(height, width) * side / min(height, width)
        assert abs(max(small.shape[:2]) - long) <= 2 * long / side + 1
    else:
        assert small is pixels


def test_halve_takes_means() -> None:
    assert halve(np.array([[0, 4, 9], [8, 12, 9], [9, 9, 9]], np.uint8)).tolist() == [[6]]


@pytest.mark.parametrize("size", [(90, 120), (300, 500), (1100, 1500), (2300, 2100)])
def test_small_is_what_it_is_whatever_was_asked_before(size: tuple[int, int]) -> None:
    data = encoded(scene(*size), "JPEG", quality=90)
    alone, after = Picture(data), Picture(data)
    after.rgb()
    after.luma()
    assert np.array_equal(alone.small(128), after.small(128))
    assert np.array_equal(alone.small_luma(128), after.small_luma(128))
    assert np.array_equal(alone.small(128), decode_small(data, 128))
    assert min(alone.small(128).shape[:2]) == min(128, *size)


def test_scaled_decoding_looks_like_shrinking(data_dir: Path) -> None:
    data = (data_dir / "photos" / "scikit-image__retina.jpg").read_bytes()
    difference = np.abs(decode_small(data, 128).astype(int) - shrink(decode(data), 128))
    assert difference.mean() < 2


def test_a_crop_is_cut_from_what_is_displayed() -> None:
    upright = scene()
    data = encoded(
        Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90), "PNG", exif=with_orientation(6)
    )
    assert np.array_equal(Picture(data, (10, 20, 30, 40)).rgb(), upright[20:60, 10:40])
    assert probe(data).cropped((10, 20, 30, 40)).width_px == 30
    for bad in ((190, 0, 20, 20), (-1, 0, 5, 5), (0, 0, 0, 5), (0, 110, 5, 11)):
        with pytest.raises(UnreadableError, match="crop"):
            Picture(data, bad).rgb()
        with pytest.raises(UnreadableError, match="crop"):
            probe(data).cropped(bad)


def test_limits_hold_before_pixels(limits: Any) -> None:
    limits(Limits(image_px=1000))
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF"):
        data = encoded(scene(), kind)
        for attempt in (probe, decode, decode_small):
            with pytest.raises(LimitError) as caught:
                attempt(data)
            assert caught.value.reason == "bomb"
    limits(Limits(image_frames=2))
    frames = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (0, 100, 200)]
    for kind in ("GIF", "WEBP"):
        with pytest.raises(LimitError):
            probe(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    limits(Limits(encoded_bytes=100))
    for attempt in (probe, decode):
        with pytest.raises(LimitError):
            attempt(encoded(scene(), "JPEG"))


def test_large_but_allowed_pictures_do_not_warn() -> None:
    # Pillow warns from 89 megapixels; its warnings are errors here.
    data = encoded(Image.new("1", (10_000, 9_000)), "PNG")
    assert probe(data).width_px == 10_000


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_no_truncated_file_is_accepted(kind: str) -> None:
    data = encoded(scene(), kind)
    for share in (0.99, 0.9, 0.6, 0.3, 0.1):
        cut = data[: int(len(data) * share)]
        with pytest.raises(UnreadableError) as caught:
            decode(cut)
        assert caught.value.reason in {"truncated", "corrupt"}, share


def test_reasons() -> None:
    jpeg = encoded(scene(), "JPEG")
    for data, reason in [
        (b"", "empty file"),
        (b"hello, this is a text", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (jpeg[:-300], "truncated"),
        (jpeg[:30], "truncated"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "corrupt"),
        (b"\0\0\0\x20ftypheic\0\0\0\0mif1heic" + bytes(40), "unsupported format"),
    ]:
        with pytest.raises(UnreadableError) as caught:
            decode(data)
        assert caught.value.reason == reason, data[:20]


def _answers(data: bytes) -> None:
    """Nothing but errors of samples, each with a reason, may come out."""
    for attempt in (probe, decode, decode_small):
        reason = "none"
        try:
            attempt(data)
        except SampleError as error:
            reason = error.reason
        assert reason


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "ICO"]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=12),
    st.integers(0, 10_000),
)
def test_damage_gives_pixels_or_a_reason(kind: str, changes: list[tuple[int, int]], keep: int) -> None:
    data = bytearray(encoded(scene(24, 32), kind))
    for place, value in changes:
        data[place % len(data)] = value
    _answers(bytes(data[: 1 + keep % len(data)] if keep % 3 == 0 else data))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF0000WEBPVP8X", b"II*\0", b"BM"]
    ),
    st.binary(max_size=300),
)
def test_random_bytes_give_a_reason(magic: bytes, rest: bytes) -> None:
    _answers(magic + rest)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_exif_of_any_kind_is_survived(rest: bytes) -> None:
    assert 1 <= exif_orientation(b"Exif\0\0II*\0\x08\0\0\0" + rest) <= 8
    assert exif_orientation(rest) == 1 or rest[:4] in (b"II*\0", b"MM\0*")


def test_a_long_head_is_read_as_far_as_needed() -> None:
    data = encoded(scene(), "JPEG")
    padding = b"\xff\xe2\xff\xff" + bytes(65533)
    long = data[:2] + padding * 3 + data[2:]
    assert probe(long).width_px == 200
    assert np.array_equal(decode(long), decode(data))
