"""Small real-looking pictures, made in the test: seeded blobs, so that every one is a picture of its own."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sluice.recipe.load import loads
from sluice.recipe.recipe import Recipe
from sluice.run import run

RULES = """
source: {path: in}
steps:
  - keep: {rule: image_width_px >= 40, name: too small}
  - dedup: {by: image_content_hash, name: same file}
write: {path: out}
"""


def picture(seed: int, width: int = 64, height: int = 48, kind: str = "JPEG") -> bytes:
    """An encoded picture of smooth random colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(out, format=kind)
    return out.getvalue()


def make_source(folder: Path) -> Path:
    """Ten pictures: six good ones (two with captions), a copy, two small ones and one that is broken."""
    folder.mkdir(parents=True)
    for k in range(6):
        (folder / f"good-{k}.jpg").write_bytes(picture(k))
    (folder / "good-1.txt").write_text("A caption — with a dash.\n")
    (folder / "good-4.txt").write_text("Another.")
    (folder / "good-4.cls").write_bytes(b"7")
    (folder / "twin.jpg").write_bytes(picture(2))
    for k in range(2):
        (folder / f"small-{k}.png").write_bytes(picture(20 + k, 30, 30, "PNG"))
    (folder / "broken.jpg").write_bytes(b"words, not a picture")
    return folder


def recipe(source: Path, **write: Any) -> Recipe:
    """Keeps 6 of the 10 pictures of `make_source`: two are too small, one is a copy, one is broken."""
    settings = [f"write.{name}={value}" for name, value in write.items()]
    return loads(RULES, settings, source=str(source))


def small_run(folder: Path, **write: Any) -> Path:
    """A finished run over `make_source` in this process; its output."""
    source = folder / "in"
    if not source.exists():
        make_source(source)
    output = folder / "out"
    run(recipe(source, **write), output=str(output), workers=0, quiet=True)
    return output
