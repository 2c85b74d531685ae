"""A run of small made pictures for the tests of the view."""

from __future__ import annotations

import pytest
from fake_run import HOSTILE_KEY, HOSTILE_TEXT, FakeRun, encoded, noise
from PIL import Image, ImageFilter


@pytest.fixture(scope="session")
def run() -> FakeRun:
    """40 pictures: some small, blurred, bright, repeated or broken; one with a hostile key and caption."""
    pictures: list[tuple[str, bytes | None]] = [(HOSTILE_KEY, encoded(noise(0, 320, 240)))]
    pictures += [(f"photo-{k:02d}", encoded(noise(k, 260 + 10 * k, 220 + 5 * k))) for k in range(1, 20)]
    pictures += [(f"small-{k}", encoded(noise(40 + k, 150 + 10 * k, 150))) for k in range(6)]
    blurred = (noise(k, 300, 240).filter(ImageFilter.GaussianBlur(3 + k)) for k in range(60, 64))
    pictures += [(f"blurred-{k}", encoded(b)) for k, b in enumerate(blurred)]
    pictures += [(f"again-{k}", encoded(noise(k, 260 + 10 * k, 220 + 5 * k), "PNG")) for k in range(3, 8)]
    pictures += [
        (f"bright-{k}", encoded(Image.new("RGB", (300, 300), (250, 250, 240 + k)))) for k in range(2)
    ]
    pictures += [("half", encoded(noise(90, 300, 300))[:9000]), ("empty", b""), ("words", b"no picture")]
    return FakeRun(pictures, {0: HOSTILE_TEXT, 1: "a caption"})
