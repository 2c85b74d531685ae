"""Finds uniform borders of a picture, for the operators that measure or remove them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels, right and bottom past the last."""


def inside(luma: NDArray[np.uint8], tolerance: int) -> Box:
    """What is left of a picture [H, W] without its uniform borders; (0, 0, 0, 0) where all of it is border.

    A row at the top or bottom belongs to the border while its luma spans at most `tolerance` levels, then
    likewise columns at the left and right of what remains.
    """
    top, bottom = _busy(luma, 1, tolerance)
    left, right = _busy(luma[top:bottom], 0, tolerance) if bottom > top else (0, 0)
    return left, top, right, bottom


def _busy(luma: NDArray[np.uint8], axis: int, tolerance: int) -> tuple[int, int]:
    """First and past-the-last line that is not flat; `axis` is the one each line runs along."""
    busy = np.flatnonzero(luma.max(axis=axis) - luma.min(axis=axis) > tolerance)
    return (int(busy[0]), int(busy[-1]) + 1) if busy.size else (0, 0)
