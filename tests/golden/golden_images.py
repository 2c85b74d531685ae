"""Measures the golden photographs; run as a script it rewrites the golden values, to be read before committing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sluice.operator import Program, registry
from sluice.operator.spec import GATED
from sluice.sample import Item, Media, Sample

GOLDEN = Path(__file__).with_name("image_values.json")
PHOTOS = (
    "CLIP_prefix_caption__COCO_val2014_000000060623.jpg",
    "Pillow__rot1mir0.avif",
    "Pillow__tiff_16bit_RGB.tiff",
    "RapidOCR__img_exif_orientation.jpg",
    "mmpretrain__gray.jpg",
    "scikit-image__astronaut.png",
    "scikit-image__retina.jpg",
    "sharp__Channel_digital_image_CMYK_color_no_profile.jpg",
    "sharp__Landscape_6.jpg",
    "sharp__animated-loop-3.webp",
    "sharp__rotating-squares.gif",
    "zxing__qrcode-4__01.webp",
)


def samples(photos: Path, names: Sequence[str] = PHOTOS) -> list[Sample]:
    """One sample a file, its bytes as a view of the file."""
    views = [Media(uri=str(photos / name), offset=0, size=(photos / name).stat().st_size) for name in names]
    return [Sample(id=n, key=n, items=(Item("image", media=v),)) for n, v in zip(names, views, strict=True)]


def program() -> Program:
    """Every image measure that needs no model, with its default settings."""
    known = registry()
    measures = [spec for spec in known if spec.scope == "image" and spec.kind == "measure"]
    return Program([known.bind(spec.name) for spec in measures if known.cost(spec) not in GATED])


def plain(value: Any) -> Any:
    """A value as JSON holds it; of a vector its first eight numbers."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, np.ndarray):
        return [round(float(v), 5) for v in value[:8]]
    if isinstance(value, int) and not isinstance(value, bool) and value > 2**53:
        return f"{value:016x}"
    return value


def values(photos: Path) -> dict[str, dict[str, Any]]:
    """Golden values by photograph and measure."""
    columns = program()(samples(photos)).columns
    return {name: {c: plain(columns[c][k][0]) for c in sorted(columns)} for k, name in enumerate(PHOTOS)}


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(values(Path(sys.argv[1]) / "photos"), indent=1) + "\n", encoding="utf-8")
