"""Clips that rules dropped, written apart: what is kept stays what it is, and nobody takes one for the other."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import av
import pyarrow.parquet as pq
import pytest
from journeys import balanced, fates_of, go

from caption_server import Captioner
from made_videos import made, scenes
from sluice.errors import UsageError, VerifyError
from sluice.readers import detect_format, open_reader
from sluice.recipe.load import load
from sluice.run import run
from sluice.run.convert import convert
from sluice.run.verify import verify
from sluice.store import RunDir

SPLIT = "  - split: video_split_shots"
LONG = "  - keep: {rule: video_duration_s < 2.4, name: long}"
SHORT = "  - keep: {rule: video_duration_s >= 2.4, name: short}"
SAME = "  - dedup: {by: video_descriptor, similarity: 0.99, name: same}"
STEPS = "\n".join((SPLIT, LONG, SAME))
CLIPS, APART = "format: clips", "format: clips, keep_dropped: true"
OF_THE_RUN = {"_sluice/summary.json", "_sluice/run.json", "_sluice/report.html", "_sluice/lock.yaml"}
"""Files that tell of the run and its recipe, not of what came of it."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos of two clips each, the second one long: one, the same worse, its copy, and another."""
    folder = tmp_path_factory.mktemp("in")
    (folder / "a.mp4").write_bytes(made(scenes([70, 75])))
    (folder / "b.mp4").write_bytes(made(scenes([70, 75]), options={"crf": "30"}))
    (folder / "c.mp4").write_bytes((folder / "a.mp4").read_bytes())
    (folder / "d.mp4").write_bytes(made(scenes([70, 75], seed=3)))
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for all runs, so that only the first has to measure."""
    return str(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def plain(source: Path, store: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that writes only what is kept."""
    folder = tmp_path_factory.mktemp("plain")
    go(folder, STEPS, write=CLIPS, source=source, store=store)
    return folder / "out"


@pytest.fixture(scope="module")
def apart(source: Path, store: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of one that writes what was dropped too."""
    folder = tmp_path_factory.mktemp("apart")
    summary = go(folder, STEPS, write=APART, source=source, store=store)
    assert balanced(summary)
    assert (summary["kept"], summary["dropped"], summary["duplicate"], summary["failed"]) == (2, 4, 2, 0)
    told = summary["dropped_written"]
    assert (told["samples"], told["failures"]) == (4, {"duplicate id in the output": 2})
    return folder / "out"


def contents(output: Path) -> dict[str, str]:
    """A digest of every file, but for those that tell of the run."""
    files = {str(p.relative_to(output)): p for p in output.rglob("*") if p.is_file()}
    return {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in files.items() if n not in OF_THE_RUN}


def metas(output: Path, version: str = "v0") -> dict[str, dict[str, Any]]:
    """The metadata of all clips by id."""
    return {p.stem: json.loads(p.read_bytes()) for p in (output / "metas" / version).glob("*.json")}


def ids(output: Path, *fates: str) -> set[str]:
    """The ids of samples that met one of these fates."""
    rows = pq.read_table(output / "selection.parquet").to_pylist()
    return {row["id"] for row in rows if row["fate"] in fates}


def test_what_is_kept_is_the_same_with_it_and_without(plain: Path, apart: Path) -> None:
    with_it, without = contents(apart), contents(plain)
    told_of_all = {"summary.json", "dataset.json", "_sluice/finished.json"}
    own = {name for name in with_it if name.startswith(("filtered_clips/", "_sluice/dropped/"))}
    own |= {f"metas/v0/{each}.json" for each in metas(apart).keys() - metas(plain).keys()}
    assert {n: d for n, d in with_it.items() if n not in own | told_of_all} == {
        n: d for n, d in without.items() if n not in told_of_all
    }
    assert {"clips.parquet", "_sluice/shards/00000.json", "_sluice/packing.parquet"} <= without.keys()


def test_a_dropped_clip_is_whole_and_says_which_rule_it_was(apart: Path) -> None:
    kept = ids(apart, "kept")
    dropped = ids(apart, "dropped", "duplicate") - kept
    assert {path.stem for path in (apart / "filtered_clips").iterdir()} == dropped
    assert {path.stem for path in (apart / "clips").iterdir()} == kept
    rows = {row["id"]: row for row in pq.read_table(apart / "selection.parquet").to_pylist()}
    for name, told in metas(apart).items():
        row, ours = rows[name], told["sluice"]
        assert told["valid"] is (name in kept)
        assert told["clip_location"] == f"{'clips' if told['valid'] else 'filtered_clips'}/{name}.mp4"
        assert (apart / told["clip_location"]).stat().st_size == told["num_bytes"]
        with av.open(apart / told["clip_location"]) as container:
            assert sum(1 for _ in container.decode(video=0)) == told["num_frames"]
        if name in dropped:
            assert (ours["fate"], ours["rule"]) == (row["fate"], row["rule"])
    rules = sorted(t["sluice"]["rule"] for t in metas(apart).values() if not t["valid"])
    assert rules == ["long", "long", "long", "same"]


def test_the_summary_and_the_table_tell_them_apart(plain: Path, apart: Path) -> None:
    totals, others = (json.loads((o / "summary.json").read_bytes())["totals"] for o in (apart, plain))
    assert totals.pop("num_frames_decoded_filtered") > 0
    assert totals == {**others, "num_clips_filtered": 4, "num_clips_filtered_failed": 0}
    assert set(pq.read_table(apart / "clips.parquet").column("id").to_pylist()) == ids(apart, "kept")


def test_workers_and_shards_change_nothing(source: Path, store: str, apart: Path, tmp_path: Path) -> None:
    go(tmp_path, STEPS, write=APART, source=source, store=store, workers=2)
    assert contents(tmp_path / "out") | {"dataset.json": ""} == contents(apart) | {"dataset.json": ""}
    one = tmp_path / "one"
    go(tmp_path, STEPS, write=f"{APART}, shard_samples: 1", source=source, store=store, output=one)
    of_clips = ("clips/", "filtered_clips/", "metas/")
    found, expected = contents(one), contents(apart)
    assert {n: d for n, d in found.items() if n.startswith(of_clips)} == {
        n: d for n, d in expected.items() if n.startswith(of_clips)
    }
    verify(RunDir.find(str(one)), quiet=True)


def test_it_comes_and_goes_with_the_recipe(
    source: Path, store: str, plain: Path, apart: Path, tmp_path: Path
) -> None:
    again = {"source": source, "store": store, "update": True}
    go(tmp_path, STEPS, write=CLIPS, **again)
    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "out/clips").iterdir()}
    for write, like in ((APART, apart), (CLIPS, plain), (APART, apart)):
        go(tmp_path, STEPS, write=write, **again)
        found, expected = contents(tmp_path / "out"), contents(like)
        assert found | {"dataset.json": ""} == expected | {"dataset.json": ""}
        assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out/clips").iterdir()} == written
        verify(RunDir.find(str(tmp_path / "out")), quiet=True)


def test_clips_change_sides_with_the_rules(source: Path, store: str, tmp_path: Path) -> None:
    again = {"source": source, "store": store, "update": True}
    for rule in (LONG, SHORT, LONG, SHORT):
        go(tmp_path, f"{SPLIT}\n{rule}\n{SAME}", write=APART, **again)
        verify(RunDir.find(str(tmp_path / "out")), quiet=True)
    go(tmp_path, f"{SPLIT}\n{SHORT}\n{SAME}", write=APART, output=tmp_path / "fresh", **again)
    found, fresh = contents(tmp_path / "out"), contents(tmp_path / "fresh")
    assert found | {"dataset.json": ""} == fresh | {"dataset.json": ""}
    assert {t["sluice"]["rule"] for t in metas(tmp_path / "out").values() if not t["valid"]} == {"short"}


def test_a_tree_that_was_read_gives_only_what_was_kept(apart: Path) -> None:
    reader = open_reader(str(apart))
    assert reader.format == "clips"
    found = {s.id: s for part in reader.slices() for s in reader.read(part)}
    videos = {s.key for s in found.values() if any(item.modality == "video" for item in s.items)}
    assert videos == ids(apart, "kept") == {s.key for s in found.values() if s.fields["valid"]}
    assert not any(sample.notes for sample in found.values())


def test_shards_and_captions_are_of_what_was_kept(apart: Path, captioner: Captioner, tmp_path: Path) -> None:
    settings = ["write.settings.text_encoder=none", "steps.1.measure.0.video_bin.keep_low=true"]
    recipe = load("video-shard", settings, source=str(apart), output=str(tmp_path / "shards"))
    summary = run(recipe, output=str(tmp_path / "shards"), workers=0, quiet=True)
    assert (summary["kept"], summary["by_rule"]["not valid"]) == (2, 4)
    caption = "steps.1.measure.0.video_caption"
    settings = [f"{caption}.url={captioner.url}", f"{caption}.model=m", f"{caption}.language=null"]
    output = str(tmp_path / "metas" / "v1")
    recipe = load("video-annotate", settings, source=str(apart), output=output)
    summary = run(recipe, output=output, workers=0, quiet=True)
    assert (summary["kept"], summary["by_rule"]["not valid"]) == (2, 4)
    assert metas(tmp_path, "v1").keys() - {"dataset"} == ids(apart, "kept")


@pytest.mark.parametrize(("to", "written"), [("clips", 2), ("video-shards", 2), ("parquet", 6)])
def test_what_was_dropped_is_no_clip_elsewhere(apart: Path, tmp_path: Path, to: str, written: int) -> None:
    settings = {"text_encoder": "none"} if to == "video-shards" else {}
    done = convert(str(apart), str(tmp_path / "to"), to=to, settings=settings, quiet=True)
    assert (done.read, done.written, done.left_out, done.failed) == (6, written, 6 - written, 0)
    reader = open_reader(str(tmp_path / "to"))
    found = [sample for part in reader.slices() for sample in reader.read(part)]
    assert {s.key for s in found if s.fields["valid"]} == ids(apart, "kept")


def test_a_tree_of_nothing_but_dropped_clips_is_one_without_clips(
    source: Path, store: str, tmp_path: Path
) -> None:
    steps = f"{SPLIT}\n  - keep: {{rule: video_duration_s > 60, name: all}}"
    assert go(tmp_path, steps, write=APART, source=source, store=store)["kept"] == 0
    assert detect_format(str(tmp_path / "out")) == "clips"
    reader = open_reader(str(tmp_path / "out"))
    found = [sample for part in reader.slices() for sample in reader.read(part)]
    assert len(found) == 6
    assert not any(item.modality == "video" for sample in found for item in sample.items)


def test_what_has_no_place_for_them_refuses(tmp_path: Path, source: Path) -> None:
    with pytest.raises(UsageError, match="no place for samples that were dropped") as caught:
        go(tmp_path, SPLIT, write="format: folder, keep_dropped: true", source=source)
    assert "clips" in caught.value.fix


def test_verify_sees_a_dropped_clip_that_was_changed(source: Path, store: str, tmp_path: Path) -> None:
    go(tmp_path, STEPS, write=APART, source=source, store=store)
    clip = next((tmp_path / "out/filtered_clips").iterdir())
    clip.write_bytes(clip.read_bytes()[:-1] + b"x")
    with pytest.raises(VerifyError, match="was changed since it was written"):
        verify(RunDir.find(str(tmp_path / "out")), quiet=True)


def test_copies_of_a_video_have_their_clips_once(source: Path, store: str, tmp_path: Path) -> None:
    write = "format: clips, shard_samples: 1"
    summary = go(tmp_path, SPLIT, "max_failed=0", write=write, source=source, store=store, workers=2)
    assert (summary["kept"], summary["failures"]) == (6, {"duplicate id in the output": 2})
    failed = {key for key, fate in fates_of(tmp_path / "out").items() if fate["fate"] == "failed"}
    assert failed == {"c_0000", "c_0001"}
    verify(RunDir.find(str(tmp_path / "out")), quiet=True)
