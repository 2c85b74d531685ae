"""Contact sheets: sizes, order and what becomes of pictures that cannot be read."""

from __future__ import annotations

import io

import numpy as np
import pytest
from fake_run import encoded
from PIL import Image

from sluice.errors import UsageError
from sluice.view.sheet import contact_sheet


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def plain(colour: str, width: int, height: int) -> bytes:
    return encoded(Image.new("RGB", (width, height), colour), "PNG")


def test_pictures_lie_row_by_row_with_their_aspect() -> None:
    pictures = [("r", plain("red", 400, 200)), ("g", plain("lime", 200, 400)), ("b", plain("blue", 40, 40))]
    sheet = pixels(contact_sheet(pictures, columns=2, cell=(100, 100), encoding="png"))
    assert sheet.shape == (2 * 104 + 4, 2 * 104 + 4, 3)
    areas = {c: int((sheet == rgb).all(axis=2).sum()) for c, rgb in _COLOURS.items()}
    assert areas == {"red": 100 * 50, "lime": 50 * 100, "blue": 40 * 40}
    assert tuple(sheet[54, 54]) == _COLOURS["red"]
    assert tuple(sheet[54, 158]) == _COLOURS["lime"]
    assert tuple(sheet[158, 54]) == _COLOURS["blue"]


_COLOURS = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255)}


def test_broken_pictures_leave_a_grey_cell_with_the_reason() -> None:
    sheet = pixels(contact_sheet([("x", b"no picture")], encoding="png"))
    assert sheet.shape == (108 + 8, 192 + 8, 3)
    assert tuple(sheet[10, 10]) == (214, 214, 214)
    assert sheet.min() < 120, "the reason is written"


def test_labels_are_written_below_and_cut_where_too_long() -> None:
    named = [("a name that is much too long for its cell and goes on \u202e\x00\ud800", plain("red", 30, 30))]
    with_label, without = (contact_sheet(named, labels=x, encoding="png") for x in (True, False))
    assert pixels(with_label).shape[0] == pixels(without).shape[0] + 18


def test_jpeg_is_the_default() -> None:
    assert contact_sheet([("r", plain("red", 30, 30))]).startswith(b"\xff\xd8")


def test_nothing_to_show_and_too_much_are_errors() -> None:
    with pytest.raises(UsageError, match="no pictures"):
        contact_sheet([])
    with pytest.raises(UsageError, match="at least one column"):
        contact_sheet([], columns=0)
    tiny = plain("red", 1, 1)
    with pytest.raises(UsageError, match="too large"):
        contact_sheet((("x", tiny) for _ in range(700)), columns=1, cell=(1, 100))
