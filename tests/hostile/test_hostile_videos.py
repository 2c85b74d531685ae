"""Videos of every odd and broken kind in one folder: each becomes clips or one counted reason, and the others go on."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from videos_hostile import (
    DEADLY_WIDTH_PX,
    video_deadly,
    video_slow,
    video_slow_frames,
    video_survived_frames,
)

from made_videos import made, numbered, scenes, with_edit
from sluice.codec.limits import Limits
from sluice.codec.video import decode, probe
from sluice.operator import Registry, registry
from sluice.recipe.load import loads
from sluice.run import run
from sluice.run.engine import WorkerLimits
from sluice.run.local import LocalEngine
from sluice.run.verify import verify
from sluice.sample import Media
from sluice.storage import Location
from sluice.store import RunDir

OPERATORS = Registry([*registry(), *registry().features(), video_deadly.spec, video_survived_frames.spec])
RECIPE = """
source: in
steps:
  - split: {video_split_shots: {min_length_s: 1, min_frames: 10, trim_s: 0.2, max_mode: truncate}}
  - measure: video_survived_frames
write: {path: out, format: clips, settings: {preset: ultrafast}}
max_failed: 100%
"""


def two_shots(**making: Any) -> bytes:
    return made(scenes([40, 50]), **making)


def of_size(width: int, height: int, **making: Any) -> bytes:
    return made(scenes([40, 50], width=width, height=height), **making)


def without_frames() -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.start_encoding()
    return file.getvalue()


def sound_alone() -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream: Any = out.add_stream("aac", rate=48_000, layout="mono")
        for start in range(0, 48_000, 960):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def two_streams() -> bytes:
    """A video, and a small picture of it beside it, as recorders write them."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        streams: list[Any] = [out.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, (width, height) in zip(streams, ((160, 96), (64, 48)), strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in scenes([40, 50]):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                out.mux(stream.encode(frame.reformat(stream.width, stream.height, "yuv420p")))
        for stream in streams:
            out.mux(stream.encode(None))
    return file.getvalue()


def without_durations(mp4: bytes) -> bytes:
    """An MP4 whose movie, track and media headers say that it lasts 0 (ISO/IEC 14496-12, 8.2.2, 8.3.2, 8.4.2)."""
    data = bytearray(mp4)
    for box, offset in ((b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)):
        at = data.index(box) + 4
        assert data[at] == 0, "a version 0 header"
        data[at + offset : at + offset + 4] = bytes(4)
    return bytes(data)


def half(video: bytes) -> bytes:
    return video[: len(video) // 2]


FILES: dict[str, tuple[Callable[[], bytes], int | str]] = {
    "whole.mp4": (two_shots, 2),
    "with spaces and ünïcödé 影片.mp4": (lambda: made(scenes([40, 50], seed=1)), 2),
    "cut off inside a group of pictures.mkv": (
        lambda: half(two_shots(container="matroska", options={"g": "250"})),
        "truncated",
    ),
    "cut off before its index.mp4": (lambda: half(two_shots()), "truncated"),
    "no frames.mp4": (without_frames, "no video stream"),
    "says it lasts no time.mp4": (lambda: without_durations(two_shots()), 2),
    "says nothing of its length.mkv": (
        lambda: two_shots(container="matroska", muxing={"live": "1"}),
        2,
    ),
    "one frame.mp4": (lambda: made(numbered(1)), "no clips"),
    "one pixel.mkv": (
        lambda: of_size(1, 1, container="matroska", codec="ffv1", pix_fmt="bgr0"),
        2,
    ),
    "odd size.mp4": (lambda: of_size(161, 97, pix_fmt="yuv444p"), 2),
    "10 bits.mp4": (
        lambda: two_shots(codec="libx265", pix_fmt="yuv420p10le", options={"x265-params": "log-level=0"}),
        2,
    ),
    "hdr.mp4": (
        lambda: two_shots(
            codec="libx265",
            pix_fmt="yuv420p10le",
            options={"x265-params": "log-level=0:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"},
        ),
        2,
    ),
    "444.mp4": (lambda: two_shots(pix_fmt="yuv444p"), 2),
    "120 a second.mp4": (lambda: made(scenes([240, 240]), fps=120), 2),
    "one in two seconds.mp4": (lambda: made(scenes([20, 25]), fps=Fraction(1, 2)), 2),
    "two streams.mkv": (two_streams, 2),
    "sound alone.mp4": (sound_alone, "no video stream"),
    "begins before zero.mp4": (lambda: with_edit(two_shots(), 512), 2),
    "begins late.ts": (lambda: two_shots(container="mpegts"), 2),
    "empty.mp4": (lambda: b"", "empty file"),
    "words.mp4": (lambda: b"words, and not a video at all" * 40, "not a video"),
    "kills its decoder.mp4": (
        lambda: of_size(DEADLY_WIDTH_PX, 96),
        "video_split_shots: crash: SIGSEGV",
    ),
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """One run over all of them, by two workers."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "in").mkdir()
    for name, (make, _) in FILES.items():
        (folder / "in" / name).write_bytes(make())
    recipe = loads(RECIPE, source=str(folder / "in"))
    with LocalEngine(2, WorkerLimits(codec=Limits())) as engine:
        summary = run(recipe, output=str(folder / "out"), engine=engine, operators=OPERATORS, quiet=True)
    return folder, summary


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_video_becomes_clips_or_one_reason(outcome: tuple[Path, dict[str, Any]], name: str) -> None:
    folder, _ = outcome
    (parent,) = (p for p in _parents(folder / "out") if p["key"] == Path(name).stem)
    expected = FILES[name][1]
    if isinstance(expected, str):
        assert (parent["children"], parent["reason"]) == (0, expected), parent
        return
    assert parent["children"] == expected, parent
    clips = [c for c in _clips(folder / "out") if c["source_video"] == parent["key"]]
    assert len(clips) == expected
    for clip in clips:
        file = folder / "out" / clip["clip"]
        info = probe(Media(str(file)))
        assert len(list(decode(Media(str(file))))) == clip["clip_frames"]
        assert info.duration_s == pytest.approx(
            clip["clip_end_s"] - clip["clip_start_s"], abs=1 / info.fps + 0.01
        )


@pytest.mark.slow
def test_every_video_is_counted_once(outcome: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = outcome
    (level,) = summary["levels"]
    parents = _parents(folder / "out")
    reasons = Counter(p["reason"] for p in parents if p["fate"] == "failed")
    assert level["read"] == len(parents) == len(FILES)
    assert summary["failed"] == 0, "no clip was lost"
    assert level["failed"] == sum(reasons.values())
    assert [p["key"] for p in parents if p["fate"] == "childless"] == ["one frame"]
    assert verify(RunDir.of(Location(folder / "out")), quiet=True)["kept"] == summary["kept"]


def test_a_video_that_takes_longer_than_a_sample_may_is_split_while_its_frames_come(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "slow.mp4").write_bytes(two_shots())
    recipe = loads(RECIPE.replace("survived", "slow"), source=str(tmp_path / "in"))
    operators = Registry([*registry(), *registry().features(), video_slow.spec, video_slow_frames.spec])
    with LocalEngine(1, WorkerLimits(sample_s=2, codec=Limits())) as engine:
        summary = run(recipe, output=str(tmp_path / "out"), engine=engine, operators=operators, quiet=True)
    assert (summary["kept"], summary["levels"][0]["failed"]) == (2, 0)


@pytest.mark.slow
def test_six_hours_take_hardly_more_memory_than_six_minutes(tmp_path: Path) -> None:
    peaks = {}
    for name, seconds in (("minutes", 360), ("hours", 21_600)):
        folder = tmp_path / name
        (folder / "in").mkdir(parents=True)
        pictures = scenes([seconds // 3] * 3, width=64, height=36)
        (folder / "in" / "long.avi").write_bytes(made(pictures, container="avi", codec="mpeg4", fps=1))
        summary = run(
            loads(RECIPE, source=str(folder / "in")),
            output=str(folder / "out"),
            workers=1,
            quiet=True,
            operators=OPERATORS,
        )
        assert summary["kept"] == 3
        peaks[name] = summary["peak_rss_mb"]
    assert peaks["hours"] < peaks["minutes"] + 48


def _parents(output: Path) -> list[dict[str, Any]]:
    return pq.read_table(output / "_sluice" / "parents.parquet").to_pylist()


def _clips(output: Path) -> list[dict[str, Any]]:
    return pq.read_table(output / "clips.parquet").to_pylist()
