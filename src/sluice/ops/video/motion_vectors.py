"""How do a video's own motion vectors run as it goes on?"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting

from sluice.codec.video import MotionVectors
from sluice.operator import Field, track
from sluice.sample.media import Crop

Sampling = Literal["area", "point"]
PATCH_PX = 256
"""Side of the patches, whose least motion tells of still corners and overlays (Cosmos-Curate)."""
_CELL_PX = 8  # blocks lie on this grid
_BLOCKS = ((8, 8), (16, 16), (16, 8), (8, 16))  # in this order; a later one lies over an earlier one


class Speeds(NamedTuple):
    """One frame: magnitudes of its vectors over height + width."""

    mean: Annotated[float, Field(unit="share of height + width", ge=0, higher_is="faster")]
    area: Annotated[bytes, Field(unit="float32 a patch, each the mean of its area")]
    point: Annotated[bytes, Field(unit="float32 a patch, each sampled at its centre")]


@track(version=1, sees="grid", motion_vectors=True, libraries=("opencv-python-headless", "numpy"))
class video_motion_vectors:  # noqa: N801 - an operator's name is its class's
    """The codec's motion vectors of `fps` frames a second, as magnitudes over the height + width of what is shown.

    Blocks of 8 x 8, 16 x 16, 16 x 8 and 8 x 16 pixels are painted in this order where they lie in the frame, later
    ones over earlier ones; what no block covers does not move (NVIDIA's Cosmos-Curate). Of a crop the part inside it
    counts, in pixels of the stored picture, not turned and not made square. `mean`: over all pixels.
    `area` and `point`: for each patch of 256 pixels its mean, and the value at its centre as Cosmos-Curate samples it;
    float32, by rows. No row for frames without vectors (key frames), and none for codecs that give none.
    """

    def __init__(self, *, fps: Annotated[float, Setting(gt=0)] = 2.0) -> None: ...

    def start(self, info: Any) -> None:
        """A new source: no frame depends on another."""

    def __call__(self, frame: Any) -> Speeds | None:
        """One row for each frame of the grid that has vectors."""
        vectors = frame.motion_vectors
        if vectors is None or not len(vectors):
            return None
        return speeds(vectors, frame.image.width, frame.image.height, frame.stored_crop)


def speeds(vectors: MotionVectors, width: int, height: int, crop: Crop) -> Speeds:
    """What one frame of a stored size comes to, inside a crop of it (left, top, width, height)."""
    left, top, wide, high = crop
    columns, rows = _sides(left, wide), _sides(top, high)
    cells = _painted(vectors, width, height) / np.float32(wide + high)
    cells = cells[top // _CELL_PX :, left // _CELL_PX :][: len(rows), : len(columns)]
    mean = (cells * np.outer(rows, columns)).sum() / (wide * high)
    return Speeds(
        float(mean), *(_patches(cells, way).tobytes() for way in (cv2.INTER_AREA, cv2.INTER_LINEAR))
    )


def _painted(vectors: MotionVectors, width: int, height: int) -> NDArray[np.float32]:
    """Magnitudes in pixels for each cell of 8 x 8 pixels."""
    cells = np.zeros((-(-height // _CELL_PX), -(-width // _CELL_PX)), np.float32)
    length = np.hypot(vectors["motion_x"], vectors["motion_y"]) / np.maximum(vectors["motion_scale"], 1)
    for wide, high in _BLOCKS:
        chosen = (vectors["w"] == wide) & (vectors["h"] == high)
        blocks = vectors[chosen]
        rows = (blocks["dst_y"] - high // 2)[:, None, None] // _CELL_PX + np.arange(high // _CELL_PX)[:, None]
        columns = (blocks["dst_x"] - wide // 2)[:, None, None] // _CELL_PX + np.arange(wide // _CELL_PX)
        rows, columns, values = np.broadcast_arrays(rows, columns, length[chosen][:, None, None])
        inside = (rows >= 0) & (rows < len(cells)) & (columns >= 0) & (columns < cells.shape[1])
        cells[rows[inside], columns[inside]] = values[inside]
    return cells


def _sides(start: int, length: int) -> NDArray[np.float64]:
    """Pixels of each cell along a side that lie between two edges: the first and the last one may be cut."""
    first = start // _CELL_PX * _CELL_PX
    edges = np.arange(first, start + length + _CELL_PX, _CELL_PX).clip(start, start + length)
    return np.diff(edges).astype(np.float64)


def _patches(cells: NDArray[np.float32], way: int) -> NDArray[np.float32]:
    """A value for each patch; none where the picture is smaller than half a patch."""
    scale = _CELL_PX / PATCH_PX
    if min(round(side * scale) for side in cells.shape) < 1:
        return np.zeros((0, 0), np.float32)
    return np.asarray(cv2.resize(cells, None, fx=scale, fy=scale, interpolation=way), np.float32)
