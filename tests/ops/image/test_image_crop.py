"""Cropping and converting pictures: which pixels stay, which bytes stay, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from sluice.codec import decode, probe
from sluice.codec.encode import encode
from sluice.errors import PlanError, SampleError
from sluice.operator import Program, registry
from sluice.operator.mapping import MapperChain
from sluice.sample import Item, Media, Sample


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, kind, **options)
    return out.getvalue()


def mapped(mapper: str, data: bytes, name: str = "png", **settings: Any) -> Sample:
    item = Item("image", name=name, media=Media(data=data))
    (sample,) = MapperChain([registry().bind(mapper, settings)])([Sample(id="a", key="a", items=(item,))])
    return sample


def bytes_of(sample: Sample) -> bytes:
    assert sample.notes == ()
    assert sample.items[0].media is not None
    return sample.items[0].media.read()


def cropped(pixels: np.ndarray, **settings: Any) -> np.ndarray:
    return decode(bytes_of(mapped("image_crop", encoded(pixels), **settings)))


def border_of(data: bytes) -> float:
    sample = Sample(id="a", key="a", items=(Item("image", media=Media(data=data)),))
    measured = Program([registry().bind("image_flat_border_ratio")])([sample])
    found: float = measured.columns["image_flat_border_ratio"][0][0]
    return found


# Boxes


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_a_box_of_pixels_is_cut_to_the_pixel(width: int, height: int, data: st.DataObject) -> None:
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    wide, high = data.draw(st.integers(1, width - left)), data.draw(st.integers(1, height - top))
    pixels = noise(width, height)
    found = cropped(pixels, to="box_px", box_px=[left, top, wide, high])
    assert np.array_equal(found, pixels[top : top + high, left : left + wide])


SHARES, SPANS = st.floats(0, 1), st.floats(1e-6, 1)


@given(st.integers(1, 40), st.integers(1, 40), SHARES, SHARES, SPANS, SPANS)
def test_a_box_of_shares_lies_in_the_picture_and_near_its_place(
    width: int, height: int, left: float, top: float, wide: float, high: float
) -> None:
    box = [left * (1 - wide), top * (1 - high), wide, high]
    pixels = noise(width, height)
    found = cropped(pixels, to="box", box=box)
    assert abs(found.shape[0] - box[3] * height) <= 1
    assert abs(found.shape[1] - box[2] * width) <= 1
    assert found.size


def test_halves_of_shares_are_exact_halves() -> None:
    pixels = noise(40, 20)
    assert np.array_equal(cropped(pixels, to="box", box=[0.5, 0, 0.5, 1]), pixels[:, 20:])
    assert np.array_equal(cropped(pixels, to="box", box=[0.25, 0.25, 0.5, 0.5]), pixels[5:15, 10:30])


def test_a_box_of_pixels_that_the_picture_does_not_hold_fails() -> None:
    sample = mapped("image_crop", encoded(noise(30, 20)), to="box_px", box_px=[10, 0, 21, 20])
    assert [n.reason for n in sample.notes] == ["image_crop: crop outside the picture"]
    assert sample.items[0].media is None


@pytest.mark.parametrize(
    "settings",
    [
        {"box": [0.6, 0, 0.5, 1]},
        {"box": [0, 0, 0, 1]},
        {"box": [0, 0, 1.5, 1]},
        {"box_px": [0, 0, 0, 5]},
        {"box_px": [-1, 0, 5, 5]},
        {"aspect_ratio": 0},
        {"aspect_ratio": float("nan")},
        {"to": "left"},
    ],
)
def test_boxes_that_are_none_are_refused_before_any_work(settings: dict[str, Any]) -> None:
    with pytest.raises(PlanError):
        registry().bind("image_crop", settings)


# Centre


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.05, 20))
def test_the_centre_is_as_large_as_the_ratio_allows(width: int, height: int, ratio: float) -> None:
    pixels = noise(width, height)
    found = cropped(pixels, to="centre", aspect_ratio=ratio)
    high, wide = found.shape[:2]
    assert wide == width or high == height
    assert abs(wide - max(1, high * ratio)) <= 0.5 or abs(high - max(1, wide / ratio)) <= 0.5
    top, left = (height - high) // 2, (width - wide) // 2
    assert np.array_equal(found, pixels[top : top + high, left : left + wide])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 10_000), (10_000, 1)])
def test_narrow_pictures_have_a_centre(width: int, height: int) -> None:
    assert cropped(noise(width, height), to="centre").shape[:2] == (1, 1)


# Bars


def framed(inner: np.ndarray, top: int, right: int, bottom: int, left: int, value: int = 0) -> np.ndarray:
    return np.pad(inner, ((top, bottom), (left, right), (0, 0)), constant_values=value)


SIDES = st.integers(0, 30)


@given(st.integers(20, 60), st.integers(20, 60), SIDES, SIDES, SIDES, SIDES, st.integers(0, 255))
def test_bars_go_to_the_pixel(
    width: int, height: int, top: int, right: int, bottom: int, left: int, value: int
) -> None:
    inner = noise(width, height)
    found = cropped(framed(inner, top, right, bottom, left, value))
    assert np.array_equal(found, inner)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1601, 903)])
def test_bars_of_large_pictures_go_to_the_pixel_too(width: int, height: int) -> None:
    inner = np.asarray(Image.fromarray(noise(16, 12)).resize((width, height), Image.Resampling.BICUBIC))
    found = cropped(framed(inner, 101, 3, 77, 0))
    assert found.shape == inner.shape
    assert np.array_equal(found, inner)


def test_a_letterboxed_photograph_in_jpeg_gets_its_own_size_back(data_dir: Path) -> None:
    for name in ("data-juicer__cat.jpg", "scikit-image__coins.png"):
        photo = decode((data_dir / "photos" / name).read_bytes())
        bar = photo.shape[0] // 6
        data = encoded(framed(photo, bar, 0, bar, 0), "JPEG", quality=90)
        assert border_of(data) > 0.2
        made = bytes_of(mapped("image_crop", data, "jpg"))
        head = probe(made)
        assert head.width_px == photo.shape[1]
        assert abs(head.height_px - photo.shape[0]) <= 4  # a block of ringing at most
        assert border_of(made) < 0.01


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((60, 80, 3), 9, np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((1, 10_000, 3), np.uint8),
        noise(30, 30),
    ],
)
def test_without_bars_or_without_anything_else_the_item_is_the_very_same(pixels: np.ndarray) -> None:
    item = Item("image", name="png", hash="known", media=Media(data=encoded(pixels)))
    chain = MapperChain([registry().bind("image_crop")])
    (sample,) = chain([Sample(id="a", key="a", items=(item,))])
    assert sample.items[0] is item
    assert sample.notes == ()


def test_crops_of_turned_and_odd_pictures_are_of_what_is_shown() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(noise(40, 20), "PNG", exif=exif.tobytes())
    made = decode(bytes_of(mapped("image_crop", turned, to="box", box=[0, 0, 1, 0.5])))
    assert np.array_equal(made, decode(turned)[:20])
    frames = [Image.fromarray(noise(40, 20, seed)) for seed in range(3)]
    for data in (
        encoded(Image.fromarray(noise(40, 20)).convert("CMYK"), "TIFF"),
        encoded(Image.fromarray(np.dstack([noise(40, 20), noise(40, 20)[:, :, 0]])), "PNG"),
        encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
    ):
        made = bytes_of(mapped("image_crop", data, "tif", to="box_px", box_px=[1, 2, 10, 9]))
        assert np.array_equal(decode(made), decode(data)[2:11, 1:11])


# Converting


WORDS = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp", "AVIF": "avif"}


@pytest.mark.parametrize("wanted", WORDS.values())
@pytest.mark.parametrize("kind", [*WORDS, "GIF", "BMP", "TIFF"])
def test_every_format_becomes_every_other_and_stays_itself(kind: str, wanted: str) -> None:
    smooth = np.asarray(Image.fromarray(noise(4, 3)).resize((48, 32), Image.Resampling.BICUBIC))
    data = encoded(smooth, kind)
    sample = mapped("image_convert", data, kind.lower(), format=wanted)
    made = bytes_of(sample)
    if WORDS.get(kind) == wanted:
        assert made is data
        return
    assert (probe(made).format, sample.items[0].content_type) == (wanted.upper(), f"image/{wanted}")
    assert sample.items[0].name == {"jpeg": "jpg"}.get(wanted, wanted)
    assert np.abs(decode(made).astype(int) - decode(data)).mean() < (1e-9 if wanted == "png" else 6)


@pytest.mark.parametrize("wanted", ["jpeg", "webp", "avif"])
def test_again_and_quality_make_smaller_files_of_the_same_format(wanted: str) -> None:
    data = encode(noise(64, 64), wanted, quality=95)  # type: ignore[arg-type]
    low, high = (
        bytes_of(mapped("image_convert", data, wanted, format=wanted, again=True, quality=q))
        for q in (20, 80)
    )
    assert len(low) < len(high) < len(data)
    assert bytes_of(mapped("image_convert", data, wanted, format=wanted, quality=20)) is data


@pytest.mark.parametrize("wanted", WORDS.values())
def test_metadata_are_kept_or_stripped_as_asked(wanted: str) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a note"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(noise(40, 20), "TIFF", exif=exif, icc_profile=profile)
    for metadata, expected in (("keep", "a note"), ("strip", None)):
        made = bytes_of(mapped("image_convert", data, "tif", format=wanted, metadata=metadata))
        with Image.open(io.BytesIO(made)) as image:
            assert image.size == (20, 40)
            assert image.getexif().get(0x010E) == expected
            assert 0x0112 not in image.getexif() or image.getexif()[0x0112] == 1
            assert image.info["icc_profile"] == profile


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 10_000)])
@pytest.mark.parametrize("wanted", WORDS.values())
def test_the_smallest_and_narrowest_are_converted(wanted: str, width: int, height: int) -> None:
    made = bytes_of(mapped("image_convert", encoded(noise(width, height), "BMP"), "bmp", format=wanted))
    assert decode(made).shape == (height, width, 3)


def test_what_a_format_does_not_hold_fails_and_holds_nothing_any_more() -> None:
    sample = mapped("image_convert", encoded(np.zeros((16_384, 1, 3), np.uint8)), format="webp")
    assert ["too large for this format" in n.reason for n in sample.notes] == [True]
    assert sample.items[0].media is None
    with pytest.raises(SampleError, match="16383"):
        encode(np.zeros((1, 16_384, 3), np.uint8), "webp")


@pytest.mark.parametrize("mapper", ["image_crop", "image_convert"])
@pytest.mark.parametrize("data", [b"", b"words", encoded(noise(90, 60))[:2000]])
def test_broken_bytes_fail_with_a_reason(mapper: str, data: bytes) -> None:
    sample = mapped(mapper, data)
    (note,) = sample.notes
    assert note.kind == "unreadable"
    assert sample.items[0].media is None
