"""A contact sheet: many pictures at a glance in one file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from sluice.codec.image import decode_small
from sluice.codec.thumbnail import Rgb, caption, encode_jpeg, encode_png, fit
from sluice.errors import SampleError, StorageError, UnreadableError, UsageError
from sluice.run.pick import Face

_GAP_PX, _LABEL_PX = 4, 18
# The paper is not quite white, so that white pictures can be seen.
_PAPER, _BLANK = 240, 214
_MOST_PX = 65_000
"""A JPEG's sides are limited to 65,535 pixels."""


Look = bytes | Rgb | SampleError
"""A picture to be shown: encoded, decoded, or why there is none."""


def looks(faces: Iterable[Face], frames: int = 1, max_side_px: int = 192) -> Iterator[tuple[str, Look]]:
    """What a sheet shows of samples, with names: of a picture its bytes, of a video `frames` of its frames.

    Frames are those in the middles of as many equal parts of the video (of one: in its middle, for beginnings are
    often black), no longer side more than `max_side_px`; where they are several, names begin with their times. A
    video that cannot be shown is one with its reason in every place.
    """
    for face in faces:
        if not face.is_video:
            yield face.key, face.read()
            yield from ((face.key, _NOTHING_MORE) for _ in range(frames - 1))
            continue
        try:
            found = _frames(face, frames, max_side_px)
        except SampleError as error:
            found = [(face.key, error)] * frames
        except StorageError as error:
            found = [(face.key, UnreadableError("out of reach", str(error)))] * frames
        yield from found


_NOTHING_MORE = np.full((1, 1, 3), _PAPER, np.uint8)


def _frames(face: Face, count: int, max_side_px: int) -> list[tuple[str, Look]]:
    from sluice.codec.video.preview import span_of, spread_times
    from sluice.codec.video.sample import frames_at

    if face.media is None:
        raise UnreadableError("out of reach", "its bytes are not there any more")
    frames = frames_at(face.media, spread_times(*span_of(face.media), count))
    named = face.key if count == 1 else None
    return [(named or f"{frame.time_s:.2f} s  {face.key}", frame.rgb(max_side_px)) for frame in frames]


def contact_sheet(
    pictures: Iterable[tuple[str, Look]],
    columns: int = 10,
    cell: tuple[int, int] = (192, 108),
    labels: bool = False,
    encoding: Literal["jpeg", "png"] = "jpeg",
) -> bytes:
    """One picture of all pictures, given as `(name, look)`, row by row from the top left.

    Each keeps its aspect in a cell of `cell` (width, height) pixels and is never enlarged; `labels` writes the
    name below it. One that cannot be decoded leaves a grey cell with the reason. Only one row of encoded
    pictures is decoded at a time. Raises UsageError where there are no pictures, no columns or too many rows.
    """
    if columns < 1 or min(cell) < 1:
        raise UsageError("a contact sheet needs at least one column and cells of at least 1 px")
    rows: list[Rgb] = []
    cells: list[Rgb] = []
    for name, data in pictures:
        cells.append(_cell(name, data, cell, labels))
        if len(cells) == columns:
            rows.append(_row(cells, columns))
            cells = []
    if cells:
        # A sheet of a single row is as wide as what it shows.
        rows.append(_row(cells, columns if rows else len(cells)))
    if not rows:
        raise UsageError("there are no pictures to show", fix="preview a folder, shard or run with images")
    sheet = np.pad(np.concatenate(rows), ((_GAP_PX, 0), (_GAP_PX, 0), (0, 0)), constant_values=_PAPER)
    if max(sheet.shape[:2]) > _MOST_PX:
        raise UsageError(
            f"a sheet of {sheet.shape[1]} × {sheet.shape[0]} pixels is too large",
            fix=f"show at most {_MOST_PX // rows[0].shape[0] * columns} pictures or use smaller cells",
        )
    return encode_png(sheet) if encoding == "png" else encode_jpeg(sheet, quality=85)


def _row(cells: list[Rgb], columns: int) -> Rgb:
    row = np.concatenate(cells, axis=1)
    missing = (columns - len(cells)) * cells[0].shape[1]
    return np.pad(row, ((0, 0), (0, missing), (0, 0)), constant_values=_PAPER)


def _cell(name: str, look: Look, cell: tuple[int, int], labels: bool) -> Rgb:
    width, height = cell
    try:
        picture = fit(_decoded(look, max(cell)), width, height)
        canvas = np.full((height, width, 3), _PAPER, np.uint8)
        top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
        canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    except SampleError as error:
        canvas = np.full((height, width, 3), _BLANK, np.uint8)
        line = caption(error.reason, width, min(_LABEL_PX, height), paper=_BLANK)
        top = (height - line.shape[0]) // 2
        canvas[top : top + line.shape[0]] = line
    if labels:
        canvas = np.concatenate([canvas, caption(name, width, _LABEL_PX, paper=_PAPER)])
    return np.pad(canvas, ((0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=_PAPER)


def _decoded(look: Look, min_side_px: int) -> Rgb:
    if isinstance(look, SampleError):
        raise look
    return decode_small(look, min_side_px=min_side_px) if isinstance(look, bytes) else look
