"""Whole runs that write clips: what stands in their tables and their metadata, and how work is dealt to workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from journeys import balanced, fates_of

from made_videos import made, scenes
from sluice.cli.account import frames
from sluice.recipe.load import load
from sluice.run import run
from sluice.run.convert import convert

SOURCES = 5
SOURCES_NAMES = ("source_video", "source_hash", "source_duration_s", "source_frames")
PEERS_NAMES = {
    "span_uuid",
    "source_video",
    "duration_span",
    "width_source",
    "height_source",
    "framerate_source",
    "clip_location",
    "width",
    "height",
    "framerate",
    "num_frames",
    "video_codec",
    "num_bytes",
    "motion_score",
    "aesthetic_score",
    "windows",
    "valid",
    "has_caption",
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of each of five sources, with previews, by two workers."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "in").mkdir()
    for n in range(SOURCES):
        (folder / "in" / f"{n}.mp4").write_bytes(made(scenes([70, 75], seed=n, pan_px=1)))
    recipe = load("video-split", ["write.settings.previews=true"], source=str(folder / "in"))
    summary = run(recipe, output=str(folder / "out"), workers=2, quiet=True)
    assert (summary["kept"], summary["failed"]) == (2 * SOURCES, 0)
    return folder / "out"


def test_the_table_says_everything_once(clips: Path) -> None:
    table = pq.read_table(clips / "clips.parquet")
    names = table.column_names
    assert len(names) == len(set(names))
    again = [n for n in names if n.startswith("source_") and n not in SOURCES_NAMES]
    assert again == []
    assert {"clip_start_kind", "clip_end_score", "source_hash", "parent"} <= set(names)
    assert table.column("clip_start_kind").to_pylist() == ["start", "cut"] * SOURCES


def test_sources_are_spread_over_shards_that_hold_all_their_clips(clips: Path) -> None:
    shards = [pq.read_table(p).column("parent").to_pylist() for p in sorted(clips.glob("rows/*.parquet"))]
    assert [len(parents) for parents in shards] == [2] * SOURCES
    assert len({parent for parents in shards for parent in set(parents)}) == SOURCES


def test_metadata_has_what_peers_read(clips: Path) -> None:
    rows = {row["id"]: row for row in pq.read_table(clips / "clips.parquet").to_pylist()}
    for path in (clips / "metas" / "v0").iterdir():
        told = json.loads(path.read_bytes())
        row = rows.pop(path.stem)
        assert told.keys() >= PEERS_NAMES
        assert (clips / told["clip_location"]).stat().st_size == told["num_bytes"] == row["size_bytes"]
        assert told["duration_span"] == [row["start_s"], row["end_s"]]
        assert told["num_frames"] == row["frame_count"]
        assert (told["valid"], told["has_caption"], told["windows"]) == (True, False, [])
        assert told["sluice"]["content_hash"] == row["hash"]
        preview = clips / "previews" / path.stem / f"0_{told['num_frames']}.webp"
        assert preview.read_bytes()[8:12] == b"WEBP"
    assert not rows


def test_the_summary_adds_up(clips: Path) -> None:
    told = json.loads((clips / "summary.json").read_bytes())
    assert [video["num_clips"] for video in told["videos"]] == [2] * SOURCES
    totals = told["totals"]
    assert (totals["num_videos"], totals["num_clips"]) == (SOURCES, 2 * SOURCES)
    for name in ("num_frames", "num_bytes", "total_clip_duration"):
        assert totals[name] == pytest.approx(sum(video[name] for video in told["videos"]))


def test_frames_that_were_decoded_are_counted_and_no_other_run_s(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for n in range(2):
        (tmp_path / "in" / f"{n}.mp4").write_bytes(made(scenes([70, 75], seed=n, pan_px=1)))
    recipe = load("video-split", source=str(tmp_path / "in"))

    def told() -> tuple[dict[str, int], dict[str, Any]]:
        summary = run(recipe, output=str(tmp_path / "out"), workers=1, quiet=True)
        return summary["frames"], summary_of(tmp_path / "out")["totals"]

    found, totals = told()
    assert found["in_sources"] == 2 * 145
    assert 2 * 145 <= found["decoded_measuring"] <= 2 * (145 + 3)  # the first frame tells where time begins
    kept = totals["num_frames"]
    assert kept < totals["num_frames_decoded"] <= found["decoded_writing"]
    assert found["decoded_measuring"] + found["decoded_writing"] <= found["in_sources"] + kept + 2 * 2 * 25
    assert frames(found).startswith(f"{found['decoded_measuring']} decoded to measure, ")
    again, totals_again = told()
    assert again == {"in_sources": 2 * 145, "decoded_measuring": 0, "decoded_writing": 0}
    assert frames(again) == "none decoded by this run, of 290 in the sources"
    assert totals_again == totals
    (next((tmp_path / "out" / "_sluice" / "shards").iterdir())).unlink()
    mended, totals_mended = told()
    assert (mended["decoded_measuring"], totals_mended) == (0, totals)
    assert mended["decoded_writing"] == found["decoded_writing"] // 2, "one of two sources"


def told_of(tree: Path) -> dict[str, dict[str, Any]]:
    """The metadata of all clips of a tree, but for the bin that shards tell."""
    found = {path.stem: json.loads(path.read_bytes()) for path in (tree / "metas" / "v0").iterdir()}
    for told in found.values():
        told["sluice"]["fields"].pop("shard_bin", None)
    return found


def summary_of(tree: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tree / "summary.json").read_bytes())
    found["videos"].sort(key=lambda video: video["source_video"])
    return found


@pytest.mark.parametrize("way", [("clips",), ("webdataset", "clips"), ("video-shards", "clips")])
def test_conversion_keeps_clips_and_what_is_told_of_them(
    clips: Path, tmp_path: Path, way: tuple[str, ...]
) -> None:
    place = clips
    for number, to in enumerate(way):
        settings = {"text_encoder": "none"} if to == "video-shards" else {}
        done = convert(str(place), str(tmp_path / str(number)), to=to, settings=settings, quiet=True)
        assert (done.written, done.failed) == (2 * SOURCES, 0)
        place = tmp_path / str(number)
    assert {p.name: p.read_bytes() for p in (place / "clips").iterdir()} == {
        p.name: p.read_bytes() for p in (clips / "clips").iterdir()
    }
    assert told_of(place) == told_of(clips)
    before, after = summary_of(clips), summary_of(place)
    assert before["totals"].pop("num_frames_decoded") > 0 == after["totals"].pop("num_frames_decoded")
    assert after == before
    assert pq.read_table(place / "clips.parquet").num_rows == 2 * SOURCES


def test_by_default_only_what_is_black_or_frozen_or_a_copy_falls_and_is_never_encoded(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    black = [np.zeros((96, 160, 3), np.uint8)] * 60
    for name, pictures in {
        "black": black,
        "frozen": scenes([60], seed=1),
        "pans": scenes([60], seed=1, pan_px=1),
        "black at first": [*black[:30], *scenes([90], seed=2, pan_px=1)],
    }.items():
        (source / f"{name}.mp4").write_bytes(made(pictures, options={"g": "1000", "sc_threshold": "0"}))
    (source / "the same.mp4").write_bytes((source / "pans.mp4").read_bytes())
    recipe = load("video-split", ["steps.0.split.video_split_shots.trim_s=0"], source=str(source))
    found = run(recipe, output=str(tmp_path / "out"), workers=0, quiet=True)
    assert found["by_rule"] == {"black": 1, "frozen": 1, "same file": 1}
    assert balanced(found)
    fates = fates_of(tmp_path / "out")
    kept = {row["key"].rpartition("_")[0] for row in fates.values() if row["fate"] == "kept"}
    assert kept == {"pans", "black at first"}
    assert len(list((tmp_path / "out" / "clips").iterdir())) == found["kept"]
