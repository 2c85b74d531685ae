"""Looks at videos: what a grid shows when, strips of posters, animated WebP."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from made_videos import made, number_of, numbered, scenes
from sluice.codec.thumbnail import encode_png
from sluice.codec.video import decode
from sluice.codec.video.grid import GridCell, GridSettings, Unshown, grid_shape, write_grid
from sluice.codec.video.preview import on_ticks, posters, webp_preview
from sluice.errors import UnreadableError, UsageError
from sluice.sample import Media

Pixels = NDArray[np.uint8]
CELL = (160, 96)


def cell(data: bytes | None, name: str = "a", **view: float) -> GridCell:
    return GridCell(name, None if data is None else Media(data=data, **view))  # type: ignore[arg-type]


def grid(folder: Path, *cells: GridCell, **settings: object) -> list[Pixels]:
    """The luma of a grid's frames."""
    path = folder / "grid.mp4"
    assert write_grid(cells, len(cells), path, GridSettings(cell_px=CELL, **settings)) == []  # type: ignore[arg-type]
    return [frame.luma for frame in decode(Media(str(path)))]


def numbers(frames: list[Pixels], left: int = 0, top: int = 0) -> list[int]:
    """Which numbered picture a cell shows in each frame."""
    return [number_of(f[top : top + CELL[1], left : left + CELL[0]]) for f in frames]


def test_every_source_keeps_its_own_pace(tmp_path: Path) -> None:
    slow, same, fast = (made(numbered(n), fps=fps) for fps, n in ((10, 20), (30, 60), (120, 240)))
    frames = grid(tmp_path, cell(slow), cell(same), cell(fast), columns=3, duration_s=2.0)
    assert len(frames) == 60
    assert frames[0].shape == (CELL[1], 3 * CELL[0])
    assert numbers(frames) == [k // 3 for k in range(60)]
    assert numbers(frames, CELL[0]) == list(range(60))
    assert numbers(frames, 2 * CELL[0]) == [4 * k for k in range(60)]


def test_frames_of_a_variable_rate_are_shown_when_they_are(tmp_path: Path) -> None:
    times = [0, 100, 150, 900, 1000, 1900]  # ms
    frames = grid(tmp_path, cell(made(numbered(6), times=times)), fps=20.0, duration_s=2.0)
    assert numbers(frames) == [max(i for i, t in enumerate(times) if t <= 50 * k) for k in range(40)]


def test_short_videos_begin_again_or_stay(tmp_path: Path) -> None:
    data = made(numbered(6), fps=30)
    looped = numbers(grid(tmp_path, cell(data), duration_s=0.5))
    assert looped == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2]
    frozen = numbers(grid(tmp_path, cell(data), duration_s=0.5, short="freeze"))
    assert frozen == [0, 1, 2, 3, 4, *[5] * 10]


def test_a_clip_is_shown_from_its_start_to_its_end(tmp_path: Path) -> None:
    data = made(numbered(90), fps=30)
    shown = numbers(grid(tmp_path, cell(data, start_s=1.0, end_s=1.2), duration_s=0.4))
    assert shown == [30, 31, 32, 33, 34, 35] * 2


def test_only_what_is_shown_is_decoded() -> None:
    given = 0

    def counted() -> object:
        nonlocal given
        for frame in decode(Media(data=made(numbered(100), fps=30))):
            given += 1
            yield frame

    assert sum(ticks for _, ticks in on_ticks(counted(), 30, 15)) == 15  # type: ignore[arg-type]
    assert given == 16, "the frame that ends the last one shown"


@pytest.mark.parametrize("size", [(48, 96), (161, 33)])
def test_pictures_keep_their_aspect_and_are_padded(tmp_path: Path, size: tuple[int, int]) -> None:
    white = np.full((size[1] // 2 * 2, size[0] // 2 * 2, 3), 255, np.uint8)
    frame = grid(tmp_path, cell(made([white] * 3)), duration_s=0.1)[0]
    ys, xs = np.nonzero(frame > 128)
    height, width = np.ptp(ys) + 1, np.ptp(xs) + 1
    assert width / height == pytest.approx(white.shape[1] / white.shape[0], rel=0.05)
    assert (width, height) == (white.shape[1], white.shape[0]), "never enlarged"
    assert abs((ys.min() + ys.max() + 1) / 2 - CELL[1] / 2) <= 1
    assert frame.min() < 40


def test_what_cannot_be_shown_is_marked_and_said(tmp_path: Path) -> None:
    good = made(numbered(10), fps=30)
    still = GridCell("still", Media(data=encode_png(np.full((96, 160, 3), 255, np.uint8))), is_still=True)
    cells = [
        cell(good), cell(b"no video at all", "words"), cell(None, "gone"), cell(good[: len(good) // 2], "cut"), still,
    ]  # fmt: skip
    found = write_grid(cells, 5, tmp_path / "g.mp4", GridSettings(cell_px=CELL, duration_s=0.2))
    assert [(u.name, u.reason) for u in found] == [
        ("words", "not a video"), ("gone", "out of reach"), ("cut", "truncated"),
    ]  # fmt: skip
    assert all(isinstance(u, Unshown) and u.detail for u in found)
    (first, *_, last) = [f.luma for f in decode(Media(str(tmp_path / "g.mp4")))]
    assert number_of(first[: CELL[1], : CELL[0]]) == 0
    marked = last[: CELL[1], CELL[0] : 2 * CELL[0]]
    assert marked.max() > 180, "the reason is written"
    assert abs(int(np.median(marked)) - 60) < 12
    assert np.median(last[CELL[1] :, CELL[0] : 2 * CELL[0]]) > 240, "a picture stands still"


def test_grids_are_the_same_every_time_and_play_at_once(tmp_path: Path) -> None:
    cells = [cell(made(scenes([5, 5], seed=k)), str(k)) for k in range(3)]
    for name in ("a.mp4", "b.mp4"):
        write_grid(cells, 3, tmp_path / name, GridSettings(duration_s=0.5, labels=True))
    data = (tmp_path / "a.mp4").read_bytes()
    assert data == (tmp_path / "b.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".mp4"] == [], "nothing is left behind"


@pytest.mark.parametrize(
    ("count", "columns", "shape"),
    [
        (1, None, (1, 1)), (2, None, (2, 1)), (3, None, (2, 2)), (7, None, (3, 3)), (37, None, (7, 6)),
        (100, None, (10, 10)), (101, None, (10, 11)), (5, 10, (5, 1)), (15, 10, (10, 2)),
    ],
)  # fmt: skip
def test_grids_shrink_with_what_they_show(count: int, columns: int | None, shape: tuple[int, int]) -> None:
    assert grid_shape(count, columns) == shape


def test_the_default_grid_is_full_hd_and_h264(tmp_path: Path) -> None:
    import av

    data = made(numbered(3), fps=30)
    write_grid([cell(data)] * 100, 100, tmp_path / "g.mp4", GridSettings(duration_s=0.1))
    with av.open(str(tmp_path / "g.mp4")) as container:
        video = container.streams.video[0]
        context = video.codec_context
        assert (context.name, context.pix_fmt, video.width, video.height) == ("h264", "yuv420p", 1920, 1080)
        assert (video.average_rate, video.frames) == (30, 3)


def test_grids_too_large_or_empty_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no videos"):
        write_grid([], 0, tmp_path / "g.mp4", GridSettings())
    with pytest.raises(UsageError, match="too large"):
        write_grid([], 10_000, tmp_path / "g.mp4", GridSettings())


def test_colours_come_through(tmp_path: Path) -> None:
    red = np.zeros((96, 160, 3), np.uint8)
    red[:, :, 0] = 220
    write_grid([cell(made([red] * 3))], 1, tmp_path / "g.mp4", GridSettings(cell_px=CELL, duration_s=0.1))
    (frame, *_) = decode(Media(str(tmp_path / "g.mp4")))
    assert np.abs(frame.rgb().astype(int).mean((0, 1)) - (220, 0, 0)).max() < 8


def test_a_webp_plays_its_window_in_real_time() -> None:
    media = Media(data=made(numbered(100, 640, 480), fps=25))
    data = webp_preview(media, 1.0, 3.5)
    assert data == webp_preview(media, 1.0, 3.5)
    shown = Image.open(io.BytesIO(data))
    assert (shown.format, shown.size, shown.n_frames, shown.info["loop"]) == ("WEBP", (320, 240), 3, 0)  # type: ignore[attr-defined]
    found = []
    for k in range(3):
        shown.seek(k)
        shown.load()
        assert shown.info["duration"] == 1000
        found.append(number_of(cv2.cvtColor(np.asarray(shown.convert("RGB")), cv2.COLOR_RGB2GRAY)))
    assert found == [25, 50, 75]


def test_a_webp_is_never_larger_than_asked_or_its_source() -> None:
    wide = Image.open(io.BytesIO(webp_preview(Media(data=made(numbered(3, 1600, 100))))))
    assert wide.size == (640, 40)
    small = Image.open(io.BytesIO(webp_preview(Media(data=made(numbered(3, 64, 48))))))
    assert small.size == (64, 48)
    with pytest.raises(UnreadableError, match="no frame"):
        webp_preview(Media(data=made(numbered(3))), 7.0, 8.0)


def test_posters_show_the_middles_of_thirds_of_the_span() -> None:
    media = Media(data=made(numbered(300), fps=30), start_s=2.0, end_s=8.0)
    made_of = posters(media)
    assert (made_of.start_s, made_of.end_s) == (2.0, 8.0)
    strip = cv2.imdecode(np.frombuffer(made_of.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert strip.shape == (made_of.height_px, made_of.width_px) == (3 * 96 + 2 * 3, 160)
    parts = [strip[k * 99 : k * 99 + 96] for k in range(3)]
    assert [number_of(np.asarray(p, np.uint8)) for p in parts] == [90, 150, 210]


def test_posters_of_high_videos_stand_side_by_side() -> None:
    made_of = posters(Media(data=made(numbered(30, 100, 200))))
    assert (made_of.width_px, made_of.height_px) == (3 * 80 + 2 * 3, 160)
    assert made_of.end_s == pytest.approx(30 / 25)
