"""Real pictures for the demo: those in the scikit-image wheel, and seeded copies that give every rule work."""

from __future__ import annotations

import importlib.util
import io
import random
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

CAPTIONS = {
    "astronaut.png": "An astronaut in an orange suit smiles in front of a flag and a model of the Shuttle.",
    "brick.png": "A wall of weathered bricks.",
    "camera.png": "A photographer stands at a tripod on a lawn, a skyline behind.",
    "cell.png": "A single cell under the microscope.",
    "chelsea.png": "A ginger tabby cat looks past the camera.",
    "clock_motion.png": "A wall clock, smeared by the movement of the camera.",
    "coffee.png": "A small cup of espresso on a wooden table.",
    "coins.png": "Rows of ancient coins on a dark background.",
    "grass.png": "A lawn seen from above.",
    "gravel.png": "Gravel in grey tones.",
    "hubble_deep_field.jpg": "Hundreds of galaxies on a black sky.",
    "ihc.png": "Stained tissue of a colon under the microscope, brown and blue.",
    "moon.png": "The surface of the Moon with craters.",
    "motorcycle_left.png": "A motorcycle in a workshop, seen from the left.",
    "motorcycle_right.png": "A motorcycle in a workshop, seen from the right.",
    "page.png": "A scanned page of a printed book.",
    "retina.jpg": "The back of an eye with its blood vessels.",
    "rocket.jpg": "A rocket lifts off into the evening sky.",
    "text.png": "A blurred photograph of printed text.",
}
"""The pictures in the wheel that the demo uses (see PICTURES.md) with captions of our own."""

Named = tuple[str, bytes]


def make_pictures(target: Path, seed: int = 0) -> int:
    """Write about 200 files into the folder `target` and return how many; same seed, same bytes.

    Raises ModuleNotFoundError where scikit-image is not installed.
    """
    target.mkdir(parents=True, exist_ok=True)
    originals = {name: (_wheel_folder() / name).read_bytes() for name in CAPTIONS}
    n = 0
    for name, data in _all_files(originals, random.Random(seed)):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        n += 1
    return n


def _wheel_folder() -> Path:
    # Found without importing scikit-image, which takes seconds.
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the demo's pictures come with scikit-image: pip install scikit-image")
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def _all_files(originals: dict[str, bytes], rng: random.Random) -> Iterator[Named]:
    for name, data in originals.items():
        yield f"originals/{name}", data
        if rng.random() < 0.7:
            yield f"originals/{Path(name).stem}.txt", CAPTIONS[name].encode()
    pictures = {Path(n).stem: _opened(data) for n, data in originals.items()}
    yield from _views(pictures, rng)
    yield from _copies(pictures, originals, rng)
    yield from _spoiled(pictures, rng)
    yield from _graphics(pictures, rng)
    yield from _broken(originals)


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def _encoded(picture: Image.Image, kind: str = "JPEG", quality: int = 88) -> bytes:
    out = io.BytesIO()
    picture.save(out, format=kind, **({} if kind == "PNG" else {"quality": quality}))
    return out.getvalue()


def _views(pictures: dict[str, Image.Image], rng: random.Random) -> Iterator[Named]:
    """Different parts of the large pictures: new pictures of their own, which a curation should keep."""
    captions = {Path(name).stem: text for name, text in CAPTIONS.items()}
    for name, picture in pictures.items():
        width, height = picture.size
        if min(width, height) < 290:
            continue
        for k in range(4):
            w, h = (int(side * rng.uniform(0.58, 0.8)) for side in (width, height))
            left, top = rng.randint(0, width - w), rng.randint(0, height - h)
            view = picture.crop((left, top, left + w, top + h))
            if k % 2:
                view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            yield f"views/{name}-{k}.jpg", _encoded(view, quality=rng.randint(80, 95))
            if k == 0:
                yield f"views/{name}-{k}.txt", f"A part of this: {captions[name]}".encode()


def _copies(
    pictures: dict[str, Image.Image], originals: dict[str, bytes], rng: random.Random
) -> Iterator[Named]:
    """What collections are full of: the same file twice, and the same picture smaller or recompressed."""
    for name in rng.sample(sorted(originals), 6):
        yield f"copies/{Path(name).stem}-copy{Path(name).suffix}", originals[name]
    for name, picture in pictures.items():
        scale = rng.uniform(0.55, 0.9)
        smaller = picture.resize((round(picture.width * scale), round(picture.height * scale)))
        yield f"copies/{name}-smaller.jpg", _encoded(smaller)
        yield f"copies/{name}-recompressed.jpg", _encoded(picture, quality=rng.randint(25, 60))
    for name in rng.sample(sorted(pictures), 6):
        brighter = ImageEnhance.Brightness(pictures[name]).enhance(1.15)
        yield f"copies/{name}-brighter.webp", _encoded(brighter, "WEBP", 80)


def _spoiled(pictures: dict[str, Image.Image], rng: random.Random) -> Iterator[Named]:
    """Blurred, dark, burnt out, framed, tiny and long pictures."""
    names = sorted(pictures)
    for name in rng.sample(names, 8):
        blurred = pictures[name].filter(ImageFilter.GaussianBlur(rng.uniform(4, 9)))
        yield f"spoiled/{name}-blurred.jpg", _encoded(blurred)
    for name in rng.sample(names, 5):
        dark = pictures[name].point(lambda v: min(255, round(v * 0.06)))
        yield f"spoiled/{name}-dark.png", _encoded(dark, "PNG")
    for name in rng.sample(names, 5):
        burnt = pictures[name].point(lambda v: min(255, 215 + round(v * 0.9)))
        yield f"spoiled/{name}-overexposed.jpg", _encoded(burnt)
    for name in rng.sample(names, 6):
        picture = pictures[name]
        frame = Image.new(
            "RGB", (round(picture.width * 1.5), round(picture.height * 1.6)), rng.choice(_PAPERS)
        )
        frame.paste(picture, (picture.width // 4, picture.height // 4))
        yield f"spoiled/{name}-framed.jpg", _encoded(frame)
    for name in rng.sample(names, 8):
        side = rng.randint(48, 210)
        yield f"spoiled/{name}-tiny.jpg", _encoded(_square(pictures[name], rng).resize((side, side)))
    for name in rng.sample([n for n in names if pictures[n].width > 380], 5):
        picture, height = pictures[name], rng.randint(90, 120)
        top = rng.randint(0, picture.height - height)
        banner = picture.crop((0, top, picture.width, top + height)).resize((picture.width * 2, height * 2))
        yield f"spoiled/{name}-banner.jpg", _encoded(banner)


_PAPERS = ("black", "white", "#202428")


def _square(picture: Image.Image, rng: random.Random) -> Image.Image:
    side = min(picture.size)
    left, top = rng.randint(0, picture.width - side), rng.randint(0, picture.height - side)
    return picture.crop((left, top, left + side, top + side))


def _graphics(pictures: dict[str, Image.Image], rng: random.Random) -> Iterator[Named]:
    """Blank tiles, and posters with a QR code on a photograph."""
    for k, colour in enumerate(("white", "black", "#3b6ea5", "#e8e4da")):
        yield f"graphics/blank-{k}.png", _encoded(Image.new("RGB", (400, 300), colour), "PNG")
    for name, share in (("coffee", 0.45), ("rocket", 0.5), ("chelsea", 0.6), ("brick", 0.2)):
        poster = pictures[name].copy()
        side = round(min(poster.size) * share)
        poster.paste(
            _qr_code(f"https://example.org/{name}", side),
            (poster.width - side - 12, poster.height - side - 12),
        )
        yield f"graphics/{name}-poster.png", _encoded(poster, "PNG")
    card = Image.new("RGB", (480, 320), "#f4f1ea")
    draw = ImageDraw.Draw(card)
    for k in range(9):
        draw.line((40, 50 + 26 * k, rng.randint(260, 440), 50 + 26 * k), fill="#2b3440", width=6)
    yield "graphics/card.png", _encoded(card, "PNG")


def _qr_code(content: str, side: int) -> Image.Image:
    import numpy as np
    import zxingcpp

    code = zxingcpp.create_barcode(content, zxingcpp.BarcodeFormat.QRCode)
    drawn = Image.fromarray(np.array(zxingcpp.write_barcode_to_image(code, scale=4)))
    return drawn.resize((side, side), Image.Resampling.NEAREST).convert("RGB")


def _broken(originals: dict[str, bytes]) -> Iterator[Named]:
    """Files that are not what they say; a PNG that calls itself JPEG is fine for those who look inside."""
    yield "broken/half-a-rocket.jpg", originals["rocket.jpg"][: len(originals["rocket.jpg"]) // 2]
    yield "broken/half-a-cat.png", originals["chelsea.png"][: len(originals["chelsea.png"]) // 2]
    yield "broken/empty.jpg", b""
    yield "broken/not-a-picture.jpg", b"These are words in a file that calls itself a picture.\n"
    damaged = bytearray(originals["coffee.png"])
    damaged[2000:2200] = bytes(200)
    yield "broken/damaged.png", bytes(damaged)
    yield (
        "broken/really-a-png.jpg",
        _encoded(_opened(originals["motorcycle_right.png"]).rotate(90, expand=True), "PNG"),
    )
