"""Runs that partition their output, and clips that become a training set: every clip counted, every byte kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeys import balanced, digests, fates_of, go, measured, sizes, write_source

import tiny_models
from clip_trees import TEXTS, add_clip, metadata, rendered, window
from sluice.errors import Declined, MissingError, PlanError, UsageError, VerifyError
from sluice.ops.video.bin import video_bin
from sluice.ops.video.shape import ClipShape
from sluice.readers import open_reader
from sluice.recipe.load import load
from sluice.run import run
from sluice.run.pack import cut_shards
from sluice.run.verify import verify
from sluice.storage import Location
from sluice.store import RunDir

pytest_plugins = ["servers"]


def info(width: int, height: int, frames: int | None, duration: float = 8.0) -> ClipShape:
    return ClipShape(width, height, duration, frames)


BINS = {
    (1280, 720, 200): "resolution_720/aspect_ratio_16_9/frames_121_255",
    (1920, 1080, 120): "resolution_1080/aspect_ratio_16_9/frames_0_120",
    (1080, 1920, 121): "resolution_1080/aspect_ratio_9_16/frames_121_255",
    (1079, 1079, 255): "resolution_720/aspect_ratio_1_1/frames_121_255",
    (960, 720, 256): "resolution_720/aspect_ratio_4_3/frames_256_1023",
    (720, 960, 1023): "resolution_720/aspect_ratio_3_4/frames_256_1023",
    (7200, 720, 1024): "resolution_720/aspect_ratio_16_9/frames_1024_inf",
    (1116, 720, 0): "resolution_720/aspect_ratio_4_3/frames_0_120",
    (1117, 720, 10**9): "resolution_720/aspect_ratio_16_9/frames_1024_inf",
}


def test_a_clip_goes_to_its_bin() -> None:
    assert {size: video_bin(info(*size)) for size in BINS} == BINS


@pytest.mark.parametrize(
    ("clip", "settings", "reason"),
    [
        (info(10_000, 100, 200), {}, "no resolution bin"),
        (info(10_000, 100, 200), {"keep_low": True}, "no aspect ratio bin"),
        (info(7201, 720, 200), {}, "no aspect ratio bin"),
        (info(1280, 719, 200), {}, "no resolution bin"),
        (info(1280, 720, None), {}, "frame count unknown"),
        (info(1280, 720, 200, 4.99), {"length": "duration"}, "no length bin"),
        (info(1280, 720, 200), {"lengths": {"few": (0, 10)}}, "no length bin"),
    ],
)
def test_a_clip_without_bin_says_why(clip: ClipShape, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(Declined) as caught:
        video_bin(clip, **settings)
    assert caught.value.reason == reason


def test_bins_are_settings() -> None:
    low = video_bin(info(640, 360, 200), keep_low=True)
    assert low == "resolution_lt_720/aspect_ratio_16_9/frames_121_255"
    for seconds, name in ((5.0, "5_10"), (10.0, "5_10"), (10.01, "10_30"), (30.0, "10_30"), (31.0, "30_inf")):
        assert video_bin(info(1280, 720, None, seconds), length="duration").endswith(f"/duration_{name}")
    own = video_bin(
        info(640, 360, 7),
        resolutions={"hd": 720, "sd": 240},
        aspect_ratios={"any": (0, 100)},
        lengths={"short": (0, 10), "long": (11, None)},
    )
    assert own == "resolution_sd/aspect_ratio_any/frames_short"


@given(
    weights=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), max_size=40),
    most=st.integers(1, 100),
    count=st.none() | st.integers(1, 5),
)
def test_no_shard_has_two_partitions(weights: list[tuple[int, int]], most: int, count: int | None) -> None:
    import numpy as np

    weights.sort(key=lambda each: each[1])
    weight = np.array([w for w, _ in weights], np.int64)
    code = np.array([c for _, c in weights], np.int64)
    shard = cut_shards(weight, most, count, code)
    assert (np.diff(shard, prepend=0) >= 0).all()
    for number in range(int(shard[-1]) + 1 if len(shard) else 0):
        here = shard == number
        assert len(set(code[here].tolist())) == 1
        assert here.sum() == 1 or weight[here].sum() <= most
        assert count is None or here.sum() <= count


def test_shards_of_pictures_hold_one_value_each(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", sizes(60, 40, 60, 40, 50, 60))
    write = "shard_samples: 2, partition_by: image_width_px"
    summary = go(tmp_path, "  - keep: image_height_px >= 1", write=write)
    assert balanced(summary)
    tables = [pq.read_table(p).to_pydict() for p in sorted((tmp_path / "out").glob("0*.parquet"))]
    assert [t["key"] for t in tables] == [["s01", "s03"], ["s04"], ["s00", "s02"], ["s05"]]
    assert [set(t["image_width_px"]) for t in tables] == [{40}, {50}, {60}, {60}]
    shards = json.loads((tmp_path / "out/dataset.json").read_bytes())["shards"]
    assert [s["partition"] for s in shards] == ["40", "50", "60", "60"]
    plan = pq.read_table(tmp_path / "out/_sluice/packing.parquet").to_pydict()
    assert plan["partition"] == ["40", "40", "50", "60", "60", "60"]
    assert verify(RunDir.find(str(tmp_path / "out")), quiet=True)["kept"] == 6
    assert measured(go(tmp_path, "  - keep: image_height_px >= 1", write=write)) == 0


def _table(folder: Path, kinds: list[str | None]) -> Path:
    folder.mkdir()
    rows = {"key": [f"s{k}" for k in range(len(kinds))], "text": ["words"] * len(kinds), "kind": kinds}
    pq.write_table(pa.table(rows, schema=pa.schema([(n, pa.string()) for n in rows])), folder / "a.parquet")
    return folder


def test_kept_samples_without_partition_fail_and_are_counted(tmp_path: Path) -> None:
    _table(tmp_path / "in", ["a", None, "b", "../up", "", "a/b", "b", "/etc", None])
    write = "format: jsonl, partition_by: kind"
    summary = go(tmp_path, "  - keep: kind is null or kind != 'b'", write=write)
    assert balanced(summary)
    assert (summary["kept"], summary["dropped"], summary["failed"]) == (2, 2, 5)
    assert summary["failures"] == {"partition is no path": 3, "no value to partition by": 2}
    assert fates_of(tmp_path / "out")["s1"]["reason"] == "no value to partition by"
    assert verify(RunDir.find(str(tmp_path / "out")), quiet=True)["shards"] == 2


def test_a_measure_without_value_says_why_its_sample_fails(tmp_path: Path) -> None:
    _tree(tmp_path / "in", few=True)
    summary = go(
        tmp_path, "  - keep: valid", write="format: jsonl, partition_by: video_bin", source=tmp_path / "in"
    )
    assert balanced(summary)
    assert summary["failures"]["video_bin: no resolution bin"] == 2


def test_partitions_that_cannot_be_are_refused_before_any_work(tmp_path: Path) -> None:
    write_source(tmp_path / "in", "folder", sizes(40))
    with pytest.raises(PlanError, match="nothing makes a field 'kid'"):
        go(tmp_path, "  - keep: image_width_px >= 1", write="partition_by: kid")
    with pytest.raises(PlanError, match="cannot be partitioned by 'image_descriptor'"):
        go(tmp_path, "  - keep: image_width_px >= 1", write="partition_by: image_descriptor")
    with pytest.raises(UsageError, match="laid out by partition") as caught:
        go(
            tmp_path,
            "  - keep: image_width_px >= 1",
            write="format: video-shards, settings: {text_encoder: none}",
        )
    assert "partition_by: video_bin" in caught.value.fix


def _tree(folder: Path, few: bool = False) -> Path:
    """Clips of three bins, two below 720 px, one not valid, one without metadata."""
    shapes = [(1280, 720, 10), (1280, 720, 130), (64, 48, 5), (720, 1280, 10), (1280, 720, 12), (64, 48, 6)]
    for k, shape in enumerate(shapes[2::3] if few else shapes):
        told = metadata(f"clip-{k}", [window(n, TEXTS[(k + n) % 3]) for n in range(k % 3)])
        add_clip(folder, f"clip-{k}", rendered(*shape, k), told)
    add_clip(folder, "clip-x", None, metadata("clip-x", valid=False))
    if not few:
        add_clip(folder, "clip-y", rendered(64, 48, 5), None)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _tree(tmp_path_factory.mktemp("clips") / "tree")


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.t5(tmp_path_factory.mktemp("t5") / "t5")


def shard(source: Path | str, output: Path | str, encoder: str, *more: str, **options: Any) -> dict[str, Any]:
    settings = [f"write.settings.text_encoder={encoder}", "max_failed=null", *more]
    recipe = load("video-shard", settings, source=str(source), output=str(output))
    return run(recipe, output=str(output), **{"workers": 0, "quiet": True, **options})


def tars(output: Path) -> dict[str, bytes]:
    """Every file of the training set by its path."""
    place = Location(str(output))
    found = {e.path: (place / e.path).read() for e in place.list() if not e.path.startswith("_sluice/")}
    return {path: data for path, data in found.items() if path.startswith("v0/")}


HD, TALL, LONG = (
    "resolution_720/aspect_ratio_16_9/frames_0_120",
    "resolution_720/aspect_ratio_9_16/frames_0_120",
    "resolution_720/aspect_ratio_16_9/frames_121_255",
)


def test_the_ready_recipe_makes_a_training_set(clips: Path, tmp_path: Path, t5: str) -> None:
    summary = shard(clips, tmp_path / "out", t5)
    assert balanced(summary)
    assert {n: summary[n] for n in ("read", "kept", "dropped", "failed")} == {
        "read": 8,
        "kept": 4,
        "dropped": 3,
        "failed": 1,
    }
    assert summary["by_rule"] == {"not valid": 1, "no bin": 2}
    assert summary["failures"] == {"no metadata": 1}
    found = tars(tmp_path / "out")
    assert sorted(found) == sorted(
        [
            "v0/wdinfo_list.csv",
            *(f"v0/{name}/wdinfo.json" for name in (HD, TALL, LONG)),
            *(
                f"v0/{name}/{tree}/part_000000/000000.tar"
                for name in (HD, TALL, LONG)
                for tree in ("video", "metas", "t5_xxl")
            ),
        ]
    )
    assert json.loads(found[f"v0/{HD}/wdinfo.json"]) == {
        "data_keys": ["video", "t5_xxl", "metas"],
        "chunk_size": 100,
        "data_list": ["part_000000/000000.tar"],
        "root": f"{tmp_path}/out/v0/{HD}",
        "total_key_count": 2,
    }
    listed = found["v0/wdinfo_list.csv"].decode().splitlines()
    assert listed == [f"{tmp_path}/out/v0/{name}/wdinfo.json" for name in sorted((HD, TALL, LONG))]
    again = [s for part in open_reader(str(tmp_path / "out")).slices() for s in _read(tmp_path / "out", part)]
    assert {s.key: s.fields["shard_bin"] for s in again} == {
        "clip-0": HD,
        "clip-4": HD,
        "clip-3": TALL,
        "clip-1": LONG,
    }
    for sample in again:
        media = sample.items[0].media
        assert media is not None
        assert media.read() == (clips / f"clips/{sample.key}.mp4").read_bytes()
    checked = verify(RunDir.find(str(tmp_path / "out")), quiet=True)
    assert (checked["shards"], checked["files"]) == (3, 13)


def _read(path: Path, part: Any) -> Any:
    return open_reader(str(path)).read(part)


def test_shards_close_by_clip_bytes_and_parts_by_tars(clips: Path, tmp_path: Path) -> None:
    weights = [len((clips / f"clips/clip-{k}.mp4").read_bytes()) for k in (0, 4)]
    more = (f"write.shard_size={sum(weights)}", "write.settings.part_tars=1")
    shard(clips, tmp_path / "out", "none", *more)
    assert [p for p in tars(tmp_path / "out") if p.startswith(f"v0/{HD}/video")] == [
        f"v0/{HD}/video/part_000000/000000.tar"
    ]
    shard(clips, tmp_path / "out", "none", f"write.shard_size={sum(weights) - 1}", more[1], update=True)
    found = tars(tmp_path / "out")
    assert [p for p in found if p.startswith(f"v0/{HD}/video")] == [
        f"v0/{HD}/video/part_00000{k}/000000.tar" for k in (0, 1)
    ]
    told = json.loads(found[f"v0/{HD}/wdinfo.json"])
    assert told["data_list"] == ["part_000000/000000.tar", "part_000001/000000.tar"]
    assert (told["chunk_size"], told["data_keys"]) == (1, ["video", "metas"])


def test_every_number_of_workers_gives_the_same_bytes_and_a_second_run_writes_nothing(
    clips: Path, tmp_path: Path, t5: str
) -> None:
    out = tmp_path / "out"
    shard(clips, out, t5)
    first = digests(out)
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("*.tar")}
    again = shard(clips, out, t5)
    assert measured(again) == 0
    assert digests(out) == first
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.tar")} == stamps
    shutil.rmtree(out)
    shutil.rmtree(tmp_path / "sluice-store")
    shard(clips, out, t5, workers=2)
    assert digests(out) == first


def test_what_was_cut_off_is_written_again(clips: Path, tmp_path: Path, t5: str) -> None:
    out = tmp_path / "out"
    shard(clips, out, t5)
    first = digests(out)
    (out / f"v0/{HD}/metas/part_000000/000000.tar").unlink()
    (out / "_sluice/shards/00002.json").unlink()
    (out / f"v0/{LONG}/wdinfo.json").unlink()
    shard(clips, out, t5)
    assert digests(out) == first


def test_a_bin_that_is_no_more_leaves_nothing(clips: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(clips, tmp_path / "tree"))
    shard(tree, tmp_path / "out", "none")
    for path in ("clips/clip-3.mp4", "metas/v0/clip-3.json"):
        (tree / path).unlink()
    shard(tree, tmp_path / "out", "none")
    found = tars(tmp_path / "out")
    assert not [path for path in found if TALL in path]
    assert len(found["v0/wdinfo_list.csv"].splitlines()) == 2
    verify(RunDir.find(str(tmp_path / "out")), quiet=True)
    shard(clips, tmp_path / "fresh", "none")
    shard(tree, tmp_path / "fresh", "none", update=True)
    assert {p: d for p, d in tars(tmp_path / "fresh").items() if p.endswith(".tar")} == {
        p: d for p, d in found.items() if p.endswith(".tar")
    }


def test_verify_tells_what_was_changed(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shard(clips, out, "none")
    (out / "v0/wdinfo_list.csv").write_bytes(b"")
    with pytest.raises(VerifyError, match="0 bytes"):
        verify(RunDir.find(str(out)), quiet=True)
    shard(clips, out, "none")
    tar = out / f"v0/{HD}/video/part_000000/000000.tar"
    data = bytearray(tar.read_bytes())
    data[2000] ^= 1
    tar.write_bytes(data)
    with pytest.raises(VerifyError, match="changed since it was written"):
        verify(RunDir.find(str(out)), quiet=True)


def test_another_encoder_at_the_same_path_writes_anew(clips: Path, tmp_path: Path, t5: str) -> None:
    place = Path(shutil.copytree(t5, tmp_path / "t5"))
    shard(clips, tmp_path / "out", str(place))
    first = tars(tmp_path / "out")
    changed = json.loads((place / "config.json").read_text()) | {"layer_norm_epsilon": 0.5}
    (place / "config.json").write_text(json.dumps(changed))
    from sluice.model import files

    files._digest.cache_clear()
    from sluice.model import pretrained

    pretrained.pretrained.cache_clear()
    shard(clips, tmp_path / "out", str(place))
    second = tars(tmp_path / "out")
    assert {path for path in first if first[path] != second[path]} == {
        f"v0/{name}/t5_xxl/part_000000/000000.tar" for name in (HD, LONG, TALL)
    } - {path for path in first if "t5_xxl" in path and _empty(first[path])}


def _empty(tar: bytes) -> bool:
    return b"_reconstruct" not in tar


def test_a_missing_encoder_ends_it_before_any_work(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="google-t5/t5-11b"):
        run(load("video-shard", source=str(clips), output=str(tmp_path / "out")), workers=0, quiet=True)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "sluice-store").exists()


def test_object_stores_get_the_bytes_of_a_local_run(clips: Path, tmp_path: Path, t5: str, s3: str) -> None:
    for path in sorted(p for p in clips.rglob("*") if p.is_file()):
        Location(f"{s3}/tree/{path.relative_to(clips).as_posix()}").upload(path)
    shard(f"{s3}/tree", f"{s3}/out", t5, run_dir=str(tmp_path / "run"), store=str(tmp_path / "store"))
    shard(clips, tmp_path / "out", t5)
    there = {e.path: (Location(f"{s3}/out") / e.path).read() for e in Location(f"{s3}/out").list()}
    here = tars(tmp_path / "out")
    assert {p: d for p, d in there.items() if p.endswith(".tar")} == {
        p: d for p, d in here.items() if p.endswith(".tar")
    }
    told = json.loads(there[f"v0/{HD}/wdinfo.json"])
    key = s3.partition("://")[2].partition("/")[2]
    assert told["root"] == f"{key}/out/v0/{HD}".lstrip("/")
    reader = open_reader(f"{s3}/out")
    again = [s for part in reader.slices() for s in reader.read(part)]
    assert sorted(s.key for s in again if not s.notes) == ["clip-0", "clip-1", "clip-3", "clip-4"]


def test_clips_are_converted_to_shards_and_back(clips: Path, tmp_path: Path) -> None:
    from sluice.run.convert import convert

    done = convert(
        str(clips), str(tmp_path / "a"), to="video-shards", settings={"text_encoder": "none"}, quiet=True
    )
    assert (done.read, done.written, done.left_out, done.failed) == (8, 6, 1, 1)
    assert done.reasons == {"no metadata": 1}
    assert {e.path.partition("/")[0] for e in Location(str(tmp_path / "a")).list()} == {"v0"}
    assert not (tmp_path / "sluice-store").exists()
    back = convert(str(tmp_path / "a"), str(tmp_path / "b"), to="webdataset", quiet=True)
    assert (back.read, back.written) == (6, 6)
    assert back.failed == 0


def test_an_encoder_served_by_a_process_gives_the_same_bytes(
    clips: Path, tmp_path: Path, t5: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard(clips, tmp_path / "out", t5)
    first = tars(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    monkeypatch.setenv("SLUICE_MODEL_PROCESS", "cpu")
    shard(clips, tmp_path / "out", t5, workers=2)
    assert tars(tmp_path / "out") == first
