"""Where do black bars frame a video as it goes on?"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting

from sluice.operator import Field, Span, track

DARK_LUMA = (24 - 16) * 255 / 219
"""The limit of FFmpeg's cropdetect, 24 of 255 in limited range, in the full range that luma has here."""
_MOST_FRAMES = 10
"""Percentile of frames: what is dark in most but not all of them is no bar."""


class Dark(NamedTuple):
    """One frame: shares of its height (top, bottom) and width that are dark from each edge; null where all is."""

    top: Annotated[float | None, Field(unit="share of the height", ge=0, le=1, higher_is="higher bar")]
    right: Annotated[float | None, Field(unit="share of the width", ge=0, le=1, higher_is="wider bar")]
    bottom: Annotated[float | None, Field(unit="share of the height", ge=0, le=1, higher_is="higher bar")]
    left: Annotated[float | None, Field(unit="share of the width", ge=0, le=1, higher_is="wider bar")]


@track(version=1, sees="grid", libraries=("opencv-python-headless", "numpy"))
class video_bars:  # noqa: N801 - an operator's name is its class's
    """How far `fps` frames a second are dark from each of their edges.

    A row is dark where half of its pixels have a luma that FFmpeg's cropdetect calls black (24 of 255 in limited
    range), a column likewise between the dark rows: so text in a bar changes nothing. Null for frames that are dark
    throughout.
    """

    def __init__(self, *, fps: Annotated[float, Setting(gt=0)] = 2.0) -> None: ...

    def start(self, info: Any) -> None:
        """A new source: no frame depends on another."""

    def __call__(self, frame: Any) -> Dark:
        """One row for each frame of the grid."""
        return dark_edges(frame.luma)


def dark_edges(luma: NDArray[np.uint8]) -> Dark:
    """What one picture [H, W] comes to."""
    is_dark = luma <= DARK_LUMA
    rows = _bright(is_dark, 1)
    columns = _bright(is_dark[rows[0] : rows[-1] + 1], 0) if rows.size else rows
    if not columns.size:
        return Dark(None, None, None, None)
    height, width = luma.shape
    return Dark(
        float(rows[0]) / height,
        float(width - 1 - columns[-1]) / width,
        float(height - 1 - rows[-1]) / height,
        float(columns[0]) / width,
    )


def _bright(is_dark: NDArray[np.bool_], axis: int) -> NDArray[np.intp]:
    """Lines of which less than half is dark; `axis` is the one each runs along."""
    return np.flatnonzero(np.count_nonzero(is_dark, axis=axis) * 2 < is_dark.shape[axis])


def constant(bars: Span, side: str, length_px: int) -> int | None:
    """Pixels of a length that a bar takes along a clip; None where every frame is dark throughout.

    The tenth percentile over the frames: dark scenes, of which more is dark, do not widen it, and a flash over a bar
    does not hide it.
    """
    known = bars[side][~np.isnan(bars[side])]
    return (
        round(float(np.percentile(known, _MOST_FRAMES, method="lower")) * length_px) if known.size else None
    )
