"""Many videos at a glance: all of them playing at once, in the cells of one video."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sluice.codec.image import decode_small
from sluice.codec.thumbnail import Rgb, caption, fit
from sluice.codec.video.decode import decode
from sluice.codec.video.encode import BITEXACT, encoding, x264_options
from sluice.codec.video.mux import writing
from sluice.codec.video.preview import on_ticks
from sluice.errors import SampleError, StorageError, UsageError
from sluice.sample.media import Media

Short = Literal["loop", "freeze"]

_FLOOR, _BLANK, _INK = 18, 60, 225
"""Gray levels: behind pictures that do not fill their cell, of cells that cannot be shown, of words."""
_FLOOR_LUMA = 31  # what that is as luma of the limited range
_LABEL_PX, _MOST_CELLS, _MOST_PX = 18, 10_000, 4096
"""H.264 at level 5.2 and the decoders in browsers end at 4,096 pixels a side."""
_THREADS = 2  # of the encoder: its bytes depend on the number, so that it is not the machine's


@dataclass(frozen=True, slots=True)
class GridSettings:
    """How a grid is drawn.

    `columns` of cells of `cell_px` (width, height) at most; None: as square as the number of videos allows, up to
    ten. `duration_s` and `fps` of the whole. A video that ends earlier begins again (`loop`) or stays on its last
    frame (`freeze`). `labels` writes the name below each.
    """

    columns: int | None = None
    cell_px: tuple[int, int] = (192, 108)
    duration_s: float = 5.0
    fps: float = 30.0
    short: Short = "loop"
    labels: bool = False

    @property
    def ticks(self) -> int:
        """How many frames the grid has."""
        return max(1, round(self.duration_s * self.fps))


@dataclass(frozen=True, slots=True)
class GridCell:
    """What one cell shows: a view of a video, or a picture (`is_still`); of None the bytes are gone."""

    name: str
    media: Media | None
    is_still: bool = False


@dataclass(frozen=True, slots=True)
class Unshown:
    """A cell that is marked because what it was to show cannot be: why, in short, and with more words."""

    name: str
    reason: str
    detail: str


def grid_shape(count: int, columns: int | None = None) -> tuple[int, int]:
    """Columns and rows for so many cells: as square as can be, up to ten columns, where `columns` are not given."""
    columns = min(10, math.ceil(math.sqrt(count))) if columns is None else min(columns, count)
    return columns, math.ceil(count / columns)


def write_grid(cells: Iterable[GridCell], count: int, path: Path, settings: GridSettings) -> list[Unshown]:
    """Write a grid of `count` cells as H.264 in MP4 (4:2:0, index first) to `path`; says which could not be shown.

    Cells go row by row from the top left. Each video plays from the beginning of its view, at its own pace by its
    frames' times; it keeps its aspect and is never enlarged. Cells are decoded one after another, at most as far as
    they are shown, and their small frames wait in a file that is no longer there afterwards: 31 kB a frame of
    192 x 108. The same cells give the same bytes, for one version of the encoder.

    Raises UsageError where there is nothing to show or the grid would be too large, StorageError where it cannot be
    written.
    """
    width, height = (side + side % 2 for side in settings.cell_px)
    columns, rows = _checked_shape(count, width, height, settings)
    height += _LABEL_PX if settings.labels else 0
    with tempfile.TemporaryFile(prefix="sluice-grid-", dir=path.parent) as buffer:
        shelf = _Shelf(buffer, (width, height))
        unshown = []
        for cell in cells:
            trouble = _draw(cell, shelf, settings, (width, settings.cell_px[1] + settings.cell_px[1] % 2))
            if trouble is not None:
                unshown.append(trouble)
        _encode(shelf, columns, rows, path, settings)
    return unshown


def _checked_shape(count: int, width: int, height: int, settings: GridSettings) -> tuple[int, int]:
    if count < 1:
        raise UsageError("there are no videos to show", fix="preview a folder, shard or run with videos")
    columns, rows = grid_shape(count, settings.columns)
    height += _LABEL_PX if settings.labels else 0
    if columns * width > _MOST_PX or rows * height > _MOST_PX or count > _MOST_CELLS:
        most = max(1, _MOST_PX // width) * max(1, _MOST_PX // height)
        raise UsageError(
            f"a grid of {columns * width} x {rows * height} pixels is too large for a video",
            fix=f"show fewer (at most {most:,} of this size), or use smaller cells",
        )
    return columns, rows


class _Shelf:
    """Small frames of all cells in a file, each once, and which of them each cell shows at each tick."""

    def __init__(self, file: IO[bytes], size: tuple[int, int]) -> None:
        self.width, self.height = size
        self._file = file
        self._frames = 0
        self.shown: list[list[int]] = []

    def put(self, rgb: Rgb) -> int:
        """Keep a frame; returns its number."""
        try:
            self._file.write(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).tobytes())
        except OSError as error:
            raise StorageError(f"no room for the frames of a grid: {error.strerror}") from error
        self._frames += 1
        return self._frames - 1

    def frames(self) -> NDArray[np.uint8]:
        """All frames as planes [number, 1.5 × height, width]."""
        self._file.flush()
        shape = (self._frames, self.height * 3 // 2, self.width)
        return np.memmap(self._file, np.uint8, mode="r", shape=shape)


def _draw(
    cell: GridCell, shelf: _Shelf, settings: GridSettings, picture_px: tuple[int, int]
) -> Unshown | None:
    """Put the frames of one cell on the shelf; says so where it can only be marked."""
    label = None
    if settings.labels:
        label = caption(cell.name, picture_px[0], _LABEL_PX, ink=_INK, paper=_FLOOR)
    trouble: Unshown | None = None
    shown: list[int] = []
    try:
        shown = _playing(cell, shelf, settings, picture_px, label)
    except SampleError as error:
        trouble = Unshown(cell.name, error.reason, error.what)
    except StorageError as error:
        trouble = Unshown(cell.name, "out of reach", str(error))
    if trouble is not None:
        shown = [shelf.put(_labelled(_marked(trouble.reason, *picture_px), label))]
    shelf.shown.append(shown)
    return trouble


def _playing(
    cell: GridCell, shelf: _Shelf, settings: GridSettings, picture_px: tuple[int, int], label: Rgb | None
) -> list[int]:
    """Which frame a cell shows at each tick until it ends."""
    if cell.media is None:
        raise StorageError("its bytes are not there any more")
    if cell.is_still:
        still = decode_small(cell.media.read(), min_side_px=max(picture_px))
        return [shelf.put(_labelled(_in_cell(still, *picture_px), label))]
    found: list[int] = []
    for frame, ticks in on_ticks(decode(cell.media), settings.fps, settings.ticks):
        picture = _in_cell(frame.rgb(max(picture_px)), *picture_px)
        found += [shelf.put(_labelled(picture, label))] * ticks
    return found


def _in_cell(picture: Rgb, width: int, height: int) -> Rgb:
    small = fit(picture, width, height)
    if small.shape[:2] == (height, width):
        return small
    canvas = np.full((height, width, 3), _FLOOR, np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def _marked(reason: str, width: int, height: int) -> Rgb:
    canvas = np.full((height, width, 3), _BLANK, np.uint8)
    line = caption(reason, width, min(_LABEL_PX, height), ink=_INK, paper=_BLANK)
    top = (height - line.shape[0]) // 2
    canvas[top : top + line.shape[0]] = line
    return canvas


def _labelled(picture: Rgb, label: Rgb | None) -> Rgb:
    return picture if label is None else np.concatenate([picture, label])


def _encode(shelf: _Shelf, columns: int, rows: int, path: Path, settings: GridSettings) -> None:
    import av

    frames = shelf.frames()
    rate = Fraction(settings.fps).limit_denominator(1001)
    planes = np.empty((rows * shelf.height * 3 // 2, columns * shelf.width), np.uint8)
    with writing(path):
        container = av.open(
            str(path),
            "w",
            format="mp4",
            container_options={"movflags": "+faststart", "fflags": "+bitexact"},
        )
    with container:
        options = {"preset": "veryfast", "crf": "20"} | x264_options()
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height = columns * shelf.width, rows * shelf.height
        stream.pix_fmt = "yuv420p"
        context: Any = stream.codec_context
        context.time_base = 1 / rate
        context.thread_count = _THREADS
        context.flags |= BITEXACT
        # The matrix of OpenCV's conversion: BT.601, limited range.
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 6, 6, 6, 1
        for tick in range(settings.ticks):
            _compose(
                planes, frames, [_at(shown, tick, settings.short) for shown in shelf.shown], shelf, columns
            )
            image = av.VideoFrame.from_ndarray(planes, "yuv420p")
            image.pts, image.time_base = tick, 1 / rate
            with encoding(), writing(path):
                container.mux(stream.encode(image))
        with encoding(), writing(path):
            container.mux(stream.encode(None))
        with writing(path):
            container.close()


def _at(shown: Sequence[int], tick: int, short: Short) -> int:
    """The frame of a cell at a tick, its own ticks being over or not."""
    return shown[tick % len(shown)] if short == "loop" else shown[min(tick, len(shown) - 1)]


def _compose(
    planes: NDArray[np.uint8], frames: NDArray[np.uint8], numbers: Sequence[int], shelf: _Shelf, columns: int
) -> None:
    """Lay the cells' planes into those of one picture (I420: luma, then both chroma planes at half the size)."""
    width, height = shelf.width, shelf.height
    total = planes.shape[0] * 2 // 3
    rows = total // height
    luma = planes[:total]
    chroma = planes[total:].reshape(2, total // 2, columns * width // 2)
    luma[:], chroma[:] = _FLOOR_LUMA, 128
    for place, number in enumerate(numbers[: rows * columns]):
        row, column = divmod(place, columns)
        cell = frames[number]
        luma[row * height : (row + 1) * height, column * width : (column + 1) * width] = cell[:height]
        small = cell[height:].reshape(2, height // 2, width // 2)
        top, left = row * height // 2, column * width // 2
        chroma[:, top : top + height // 2, left : left + width // 2] = small
