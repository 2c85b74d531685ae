"""Mappers of images: what they change, what they leave alone, and what they refuse."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from sluice.codec import decode, probe
from sluice.codec.strip import strip_metadata
from sluice.errors import UnreadableError
from sluice.operator import registry
from sluice.operator.mapping import MapperChain
from sluice.sample import Item, Media, Sample

SECRET = b"52.5200N 13.4050E"


def pixels(width: int, height: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encoded(kind: str, width: int = 90, height: int = 60, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels(width, height)).save(out, kind, **options)
    return out.getvalue()


def mapped(data: bytes, mapper: str, name: str = "jpg", **settings: Any) -> Sample:
    item = Item("image", name=name, media=Media(data=data))
    chain = MapperChain([registry().bind(mapper, settings)])
    (sample,) = chain([Sample(id="a", key="a", items=(item,))])
    return sample


def resized(data: bytes, name: str = "jpg", **settings: Any) -> Item:
    sample = mapped(data, "image_resize", name, **settings)
    assert sample.notes == ()
    return sample.items[0]


def bytes_of(item: Item) -> bytes:
    assert item.media is not None
    return item.media.read()


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010E] = SECRET.decode()
    block.get_ifd(0x8825)[29] = "2026:11:21"
    found: bytes = block.tobytes()
    return found


# Resizing


@given(
    st.sampled_from(["JPEG", "PNG", "WEBP"]),
    st.integers(1, 120),
    st.integers(1, 120),
    st.integers(1, 120),
)
def test_the_longer_side_fits_and_nothing_is_enlarged(kind: str, width: int, height: int, most: int) -> None:
    data = encoded(kind, width, height)
    made = bytes_of(resized(data, max_side_px=most))
    head = probe(made)
    if max(width, height) <= most:
        assert made == data
        return
    assert max(head.width_px, head.height_px) == most
    assert head.format == kind
    share = most / max(width, height)
    assert abs(head.width_px - width * share) <= 1
    assert abs(head.height_px - height * share) <= 1


def test_a_resized_picture_looks_like_the_original() -> None:
    made = bytes_of(resized(encoded("PNG", 160, 120), name="png", max_side_px=80))
    wanted = pixels(160, 120).reshape(60, 2, 80, 2, 3).mean(axis=(1, 3))
    assert np.abs(decode(made) - wanted).max() <= 1


def test_a_small_enough_picture_is_the_very_same_item() -> None:
    item = Item("image", name="jpg", hash="known", media=Media(data=encoded("JPEG")))
    chain = MapperChain([registry().bind("image_resize", {"max_side_px": 90})])
    (sample,) = chain([Sample(id="a", key="a", items=(item,))])
    assert sample.items[0] is item


@pytest.mark.parametrize(
    ("kind", "name", "wanted", "new_name"),
    [
        ("JPEG", "left.JPG", "source", "left.JPG"),
        ("JPEG", "jpg", "webp", "webp"),
        ("JPEG", "left.jpeg", "png", "left.png"),
        ("GIF", "gif", "source", "png"),
        ("TIFF", "a.b.tiff", "source", "a.b.png"),
        ("PNG", "image", "jpeg", "image"),
        ("PNG", "", "jpeg", ""),
    ],
)
def test_format_name_and_type_agree(kind: str, name: str, wanted: str, new_name: str) -> None:
    item = resized(encoded(kind), name, max_side_px=32, format=wanted)
    word = ("png" if kind != "JPEG" else "jpeg") if wanted == "source" else wanted
    assert (item.name, item.content_type, item.hash) == (new_name, f"image/{word}", None)
    assert probe(bytes_of(item)).format == word.upper()


def test_another_format_is_made_of_small_pictures_too() -> None:
    assert probe(bytes_of(resized(encoded("PNG"), max_side_px=500, format="jpeg"))).format == "JPEG"


def test_quality_counts() -> None:
    sizes = [len(bytes_of(resized(encoded("JPEG"), max_side_px=80, quality=q))) for q in (20, 90)]
    assert sizes[0] < sizes[1]


def test_resizing_turns_upright_keeps_the_colour_profile_and_drops_exif() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded("JPEG", 90, 60, exif=exif(6), icc_profile=profile)
    made = bytes_of(resized(data, max_side_px=45))
    with Image.open(io.BytesIO(made)) as image:
        assert image.size == (30, 45)
        assert image.info["icc_profile"] == profile
        assert not image.getexif()
    assert SECRET not in made


def test_a_profile_of_other_values_than_rgb_is_dropped() -> None:
    out = io.BytesIO()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(pixels(90, 60)).convert("CMYK").save(out, "JPEG", icc_profile=lab)
    with Image.open(io.BytesIO(bytes_of(resized(out.getvalue(), max_side_px=32)))) as image:
        assert image.mode == "RGB"
        assert "icc_profile" not in image.info


# Stripping


def jpeg_with_everything(orientation: int, **options: Any) -> bytes:
    """A JPEG with EXIF, XMP, IPTC, a vendor's segment, a comment, and a video behind its end."""
    data = encoded("JPEG", exif=exif(orientation), comment=SECRET, xmp=b"<x>" + SECRET, **options)
    extra = b""
    for marker, body in ((0xED, b"Photoshop 3.0\0" + SECRET), (0xE5, b"Vendor\0" + SECRET)):
        extra += bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
    return data[:2] + extra + data[2:] + b"ftypmp4" + SECRET


def png_with_everything(orientation: int) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Location", SECRET.decode())
    info.add_itxt("XML:com.adobe.xmp", SECRET.decode())
    info.add(b"tIME", bytes(7))
    return encoded("PNG", exif=exif(orientation), pnginfo=info) + SECRET


def webp_with_everything(orientation: int) -> bytes:
    return encoded("WEBP", exif=exif(orientation), xmp=b"<x>" + SECRET) + SECRET


MAKERS = {
    "jpeg": jpeg_with_everything,
    "progressive": lambda o: jpeg_with_everything(o, progressive=True),
    "png": png_with_everything,
    "webp": webp_with_everything,
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_private_goes_and_every_pixel_stays(kind: str, orientation: int) -> None:
    data = MAKERS[kind](orientation)
    assert SECRET in data
    made = strip_metadata(data)
    assert SECRET not in made
    assert probe(made).orientation == probe(data).orientation == orientation
    assert np.array_equal(decode(made), decode(data))
    with Image.open(io.BytesIO(made)) as image:
        assert set(image.getexif()) == (set() if orientation == 1 else {0x0112})
    assert strip_metadata(made) == made


@pytest.mark.parametrize("kind", MAKERS)
def test_coded_pixels_are_copied_byte_for_byte(kind: str) -> None:
    data = MAKERS[kind](1)
    made = strip_metadata(data)
    start, end = {"png": (b"IDAT", b"IEND"), "webp": (b"VP8 ", b"EXIF")}.get(kind, (b"\xff\xda", b"\xff\xd9"))
    coded = data[data.index(start) : data.rindex(end)]
    assert coded in made


def test_colour_profiles_and_animations_stay() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = [Image.fromarray(pixels(20, 20, seed)) for seed in range(3)]
    for kind in ("PNG", "WEBP"):
        out = io.BytesIO()
        frames[0].save(out, kind, save_all=True, append_images=frames[1:], exif=exif(1), icc_profile=profile)
        made = strip_metadata(out.getvalue())
        with Image.open(io.BytesIO(made)) as image:
            assert (image.n_frames, image.info["icc_profile"]) == (3, profile)
        assert SECRET not in made
    for data in (encoded("JPEG", icc_profile=profile), encoded("WEBP", icc_profile=profile)):
        with Image.open(io.BytesIO(strip_metadata(data))) as image:
            assert image.info["icc_profile"] == profile


def test_cmyk_keeps_the_adobe_segment_that_says_what_its_values_are() -> None:
    out = io.BytesIO()
    Image.fromarray(pixels(40, 30)).convert("CMYK").save(out, "JPEG", comment=SECRET)
    assert np.array_equal(decode(strip_metadata(out.getvalue())), decode(out.getvalue()))


def test_transparency_stays() -> None:
    out = io.BytesIO()
    Image.fromarray(pixels(40, 30)).convert("P").save(out, "PNG", transparency=3)
    assert probe(strip_metadata(out.getvalue())).has_alpha


def test_a_thumbnail_in_the_jfif_segment_goes() -> None:
    data = encoded("JPEG")
    assert data[2:4] == b"\xff\xe0"
    whole = data[:2] + b"\xff\xe0\x00\x16" + data[6:18] + b"\x01\x02" + b"abcdef" + data[20:]
    assert strip_metadata(whole) == strip_metadata(data)
    assert np.array_equal(decode(strip_metadata(whole)), decode(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"words, not a picture", "not an image"),
        (encoded("GIF"), "metadata cannot be taken out"),
        (encoded("TIFF"), "metadata cannot be taken out"),
        (b"\xff\xd8\xff\xd8\xff\xd9\0\0", "corrupt"),
        (b"\xff\xd8\xff\xe0\0\x04ab12", "corrupt"),
        (b"RIFF\x04\0\0\0WEBP", "corrupt"),
    ],
)
def test_what_cannot_be_stripped_for_certain_fails(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        strip_metadata(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize("kind", MAKERS)
def test_every_cut_is_found_out(kind: str) -> None:
    whole = strip_metadata(MAKERS[kind](6))
    for size in range(32, len(whole), 7):
        with pytest.raises(UnreadableError):
            strip_metadata(whole[:size])


@given(st.sampled_from(sorted(MAKERS)), st.integers(0, 10_000), st.integers(0, 255))
def test_damage_ends_in_a_picture_or_in_a_reason(kind: str, at: int, value: int) -> None:
    data = bytearray(MAKERS[kind](3))
    data[at % len(data)] = value
    try:
        made = strip_metadata(bytes(data))
    except UnreadableError:
        return
    assert len(made) <= len(data) + 64


def test_an_item_that_could_not_be_stripped_holds_nothing_any_more() -> None:
    sample = mapped(encoded("GIF"), "image_strip_metadata")
    assert [(n.kind, n.reason, n.item) for n in sample.notes] == [
        ("unreadable", "image_strip_metadata: metadata cannot be taken out", 0)
    ]
    assert (sample.items[0].media, sample.items[0].text) == (None, None)


# Chains


def test_a_chain_hands_on_and_gives_one_reason_an_item() -> None:
    chain = MapperChain(
        [registry().bind("image_resize", {"max_side_px": 32}), registry().bind("image_strip_metadata")]
    )
    good = Item("image", name="jpg", media=Media(data=encoded("JPEG", exif=exif(8))))
    bad = Item("image", name="bad.jpg", media=Media(data=b"words"))
    text = Item("text", text="a caption")
    sample = Sample(id="a", key="a", items=(good, text, bad))
    alone, together = chain([sample])[0], chain([sample, sample])[1]
    assert alone == together
    assert alone.items[1] is text
    assert max(Image.open(io.BytesIO(bytes_of(alone.items[0]))).size) == 32
    assert [(n.reason, n.item) for n in alone.notes] == [("image_resize: not an image", 2)]


def test_photographs_lose_nothing_but_metadata(data_dir: Path) -> None:
    for path in sorted((data_dir / "photos").glob("*.jpg"))[:6]:
        data = path.read_bytes()
        made = strip_metadata(data)
        assert len(made) <= len(data)
        assert np.array_equal(decode(made), decode(data))


def test_a_png_chunk_of_our_own_has_a_right_checksum() -> None:
    made = strip_metadata(png_with_everything(5))
    at = made.index(b"eXIf")
    (size,) = struct.unpack_from(">I", made, at - 4)
    assert struct.unpack_from(">I", made, at + 4 + size)[0] == zlib.crc32(made[at : at + 4 + size])
