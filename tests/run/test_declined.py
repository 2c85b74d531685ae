"""Why operators gave no value is counted, also where no rule asks."""

from __future__ import annotations

import io
from pathlib import Path

from journeys import go
from PIL import Image
from small_pictures import picture


def test_reasons_are_counted_by_operator(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    flat = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(flat, format="PNG")
    for name, data in {"a.png": flat.getvalue(), "b.png": flat.getvalue(), "c.jpg": picture(1)}.items():
        (tmp_path / "in" / name).write_bytes(data)
    summary = go(tmp_path, "  - measure: image_descriptor")
    assert summary["declined"] == [{"operator": "image_descriptor", "reason": "no detail", "samples": 2}]
    assert go(tmp_path, "  - measure: image_width_px", output=tmp_path / "other")["declined"] == []
