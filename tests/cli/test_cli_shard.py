"""`sluice shard` is the ready recipe with its settings as options."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import sluice

import tiny_models
from clip_trees import TEXTS, add_clip, metadata, rendered, window
from sluice.readers import open_reader
from sluice.storage import Location

pytest_plugins = ["servers"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for key, shape in {"a": (1280, 720, 4), "b": (64, 48, 150)}.items():
        add_clip(tmp_path / "tree", key, rendered(*shape), metadata(key, [window(0, TEXTS[0])]))
        add_clip(tmp_path / "tree", key, None, metadata(key, [window(0, TEXTS[1])]), "v1")
    return tmp_path / "tree"


def tars(output: Path) -> dict[str, bytes]:
    return {p.relative_to(output).as_posix(): p.read_bytes() for p in sorted(output.rglob("*.tar"))}


def test_it_is_the_ready_recipe(tree: Path, tmp_path: Path) -> None:
    t5 = tiny_models.t5(tmp_path / "t5")
    place = ("--input-clip-path", "tree", "--output-dataset-path", "a")
    done = sluice("shard", *place, "--text-encoder", t5, "--workers", "0", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    summary = done.document
    assert {n: summary[n] for n in ("read", "kept", "by_rule")} == {
        "read": 2,
        "kept": 1,
        "by_rule": {"not valid": 0, "no bin": 1},
    }
    assert summary["declined"] == [{"operator": "video_bin", "reason": "no resolution bin", "samples": 1}]
    own = ("--source", "tree", "--output", "b", "--set", f"write.settings.text_encoder={t5}")
    assert sluice("run", "video-shard", *own, "--workers", "0", cwd=tmp_path).code == 0
    assert tars(tmp_path / "a") == tars(tmp_path / "b")
    assert len(tars(tmp_path / "a")) == 3
    assert sluice("verify", "a", cwd=tmp_path).code == 0


def test_it_reads_a_bucket_and_writes_to_one(s3: str, tree: Path, tmp_path: Path) -> None:
    for path in tree.rglob("*.*"):
        Location(f"{s3}/tree/{path.relative_to(tree).as_posix()}").upload(path)
    how = ("--text-encoder", "none", "--keep-low", "--workers", "0", "--json")
    found = []
    for place in (str(tmp_path), s3):
        paths = ("--input-clip-path", f"{place}/tree", "--output-dataset-path", f"{place}/out")
        done = sluice("shard", *paths, *how, cwd=tmp_path)
        assert done.code == 0, done.err
        assert (done.document["kept"], done.document["failed"]) == (2, 0)
        found.append(
            {e.path: (Location(f"{place}/out") / e.path).read() for e in Location(f"{place}/out").list()}
        )
    local, remote = ({p: d for p, d in files.items() if p.endswith(".tar")} for files in found)
    assert local == remote
    assert len(remote) == 4
    assert f"{s3}/out/v0/".encode() in found[1]["v0/wdinfo_list.csv"]
    done = sluice("verify", f"{s3}/out", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    reader = open_reader(f"{s3}/out")
    read = {s.key: s.of("video")[0][1].media for part in reader.slices() for s in reader.read(part)}
    assert {key: media.read() for key, media in read.items() if media} == {
        key: (tree / f"clips/{key}.mp4").read_bytes() for key in "ab"
    }


def test_its_options_are_the_recipes_settings(tree: Path, tmp_path: Path) -> None:
    options = "--annotation-version v1 --text-encoder none --length duration --keep-low --tar-size 1MB"
    more = ("--tars-per-part", "7", "--set", "steps.1.measure.0.video_bin.lengths={all: [0, null]}")
    place = ("--input-clip-path", "tree", "--output-dataset-path", "out")
    done = sluice("shard", *place, *options.split(), *more, "--workers", "0", cwd=tmp_path)
    assert done.code == 0, done.err
    assert list(tars(tmp_path / "out")) == [
        f"v1/resolution_{resolution}/aspect_ratio_{aspect}/duration_all/{tree}/part_000000/000000.tar"
        for resolution, aspect in (("720", "16_9"), ("lt_720", "4_3"))
        for tree in ("metas", "video")
    ]
    assert TEXTS[1].encode() in b"".join(tars(tmp_path / "out").values())


def test_what_is_missing_is_said_with_the_command_that_brings_it(tree: Path, tmp_path: Path) -> None:
    place = ("--input-clip-path", "tree", "--output-dataset-path", "out")
    done = sluice("shard", *place, "--json", cwd=tmp_path, SLUICE_MODELS=str(tmp_path / "models"))
    assert done.code == 3
    assert "sluice models fetch google-t5/t5-11b" in done.document["fix"]
    done = sluice("shard", *place, "--annotation-version", "v9", "--text-encoder", "none", cwd=tmp_path)
    assert done.code == 2
    assert "v0, v1" in done.err
    assert sluice("shard", "--input-clip-path", "tree", cwd=tmp_path).code == 2
