"""Pools of a real run: drawn by their measures, and exported for trainers in every format."""

from __future__ import annotations

import csv
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import loop_data
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.errors import SluiceError, TrialError, UsageError
from sluice.recipe.load import loads
from sluice.run import run
from sluice.sandbox.export import export
from sluice.sandbox.hooks.pools import Pyramid, pools, read_pools
from sluice.sandbox.pools import Pool
from sluice.sandbox.pools.measures import measures_of_run, measures_of_table
from sluice.sandbox.train.exported import Exported
from sluice.sandbox.workflow.job import Job
from sluice.store.opened import Run


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loop_data.captioned_run(tmp_path_factory.mktemp("loop"))


VIDEOS = ("moviepy__example_mask.mp4", "torchcodec__h265_video.mp4")


def job(folder: Path) -> Job:
    place = folder / "jobs" / "1.probe.pools" / "files"
    place.mkdir(parents=True)
    return Job("pools", place)


def made(folder: Path, **settings: Any) -> dict[str, Pool]:
    return read_pools(pools(job(folder), **settings)["pools"])


def widths(run: Path, pool: Pool) -> list[float]:
    found = measures_of_run(str(run), ["image_width_px"])
    by_id = dict(zip(found.ids.to_pylist(), found.values["image_width_px"].tolist(), strict=True))
    return [by_id[i] for i in pool.ids.to_pylist()]


def test_thirds_of_a_measure_and_a_control_of_one_size(measured: Path, tmp_path: Path) -> None:
    found = made(tmp_path, run=str(measured), measures=("image_width_px",), controls=2)
    assert next(iter(found)) == "control"
    assert sorted(found) == [
        "control", "control-2", "image_width_px-high", "image_width_px-low", "image_width_px-mid"
    ]  # fmt: skip
    assert {len(pool) for pool in found.values()} == {8}
    assert sorted(widths(measured, found["image_width_px-low"])) == list(range(20, 28))
    assert sorted(widths(measured, found["image_width_px-high"])) == list(range(36, 44))
    assert set(found["control"].ids.to_pylist()) != set(found["control-2"].ids.to_pylist())
    assert found["control"].origin["run"].endswith("/out")


def test_pools_nest_as_the_cap_grows(measured: Path, tmp_path: Path) -> None:
    small = made(tmp_path / "a", run=str(measured), measures=("image_width_px",), cap=3)
    large = made(tmp_path / "b", run=str(measured), measures=("image_width_px",), cap=6)
    for name, pool in small.items():
        assert len(pool) == 3
        assert set(pool.ids.to_pylist()) < set(large[name].ids.to_pylist())
    whole = made(tmp_path / "c", run=str(measured), measures=("image_width_px",), cap=10**6)
    assert {len(pool) for pool in whole.values()} == {8}


def test_lattice_pyramid_and_mixtures(measured: Path, tmp_path: Path) -> None:
    found = made(
        tmp_path,
        run=str(measured),
        measures=("image_width_px", "image_contrast"),
        conditions=("image_width_px-high", "image_contrast-high"),
        pyramid=Pyramid(rates=(2,), base=4),
        mixtures={"half": {"image_width_px-low": 1, "control": 1}},
    )
    both = found["image_width_px-high+image_contrast-high"]
    assert min(widths(measured, both)) >= 36
    assert len({len(p) for p in found.values() if p.origin["kind"] in ("single", "control", "lattice")}) == 1
    assert len(found["repeat-2x"]) == len(found["extend-2x"]) == 8
    assert len(set(found["repeat-2x"].ids.to_pylist())) == 4
    assert len(set(found["extend-2x"].ids.to_pylist())) == 8
    assert len(found["half"]) == len(found["control"])


def test_what_an_earlier_round_chose_is_combined(measured: Path, tmp_path: Path) -> None:
    ranking = {"chosen": ["image_width_px-high", "image_contrast-mid", "text_word_count-low"]}
    given = {"run": str(measured), "measures": ("image_width_px", "image_contrast", "text_word_count")}
    place = pools(job(tmp_path / "a"), ranking=ranking, top=2, **given)["pools"]
    both = "image_width_px-high+image_contrast-mid"
    assert list(read_pools(place)) == ["control", "image_contrast-mid", "image_width_px-high", both]
    nothing = pools(job(tmp_path / "b"), ranking={"chosen": []}, **given)["pools"]
    assert "image_width_px-low" in read_pools(nothing)


def test_a_table_of_measures_will_do(measured: Path, tmp_path: Path) -> None:
    ids = measures_of_run(str(measured), []).ids
    values = np.arange(len(ids), dtype=np.float64)
    values[0] = np.inf
    table = tmp_path / "measures.parquet"
    pq.write_table(pa.table({"id": ids, "score": values, "name": ["x"] * len(ids)}), table)
    found = made(tmp_path, table=str(table), measures=("score",), run=str(measured))
    assert sorted(found) == ["control", "score-high", "score-low", "score-mid", "score-null"]
    assert len(found["score-null"]) == 1
    with pytest.raises(UsageError, match="did you mean `score`"):
        measures_of_table(str(table), ["scor"])
    with pytest.raises(UsageError, match="no measure here that is a number"):
        measures_of_table(str(table), ["name"])
    pq.write_table(pa.table({"key": ["a"]}), table)
    with pytest.raises(UsageError, match="no column `id`"):
        measures_of_table(str(table), [])
    table.write_bytes(b"PAR1")
    with pytest.raises(UsageError, match="no Parquet table"):
        measures_of_table(str(table), [])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "nothing to draw pools from"),
        ({"run": "here", "measures": ("image_widht_px",)}, "did you mean `image_width_px`"),
        ({"run": "here", "conditions": ("image_width_px",)}, "names no third of a measure"),
        ({"run": "here", "pyramid": Pyramid()}, "needs conditions"),
        ({"run": "here", "mixtures": {"m": {"x": 1}}}, "weight of 'x' cannot be used"),
    ],
)
def test_what_cannot_be_drawn_is_told(
    measured: Path, tmp_path: Path, settings: dict[str, Any], told: str
) -> None:
    given = {k: str(measured) if v == "here" else v for k, v in settings.items()}
    with pytest.raises(UsageError, match=told):
        made(tmp_path, **given)


def test_a_constant_measure_and_one_without_values_say_so(measured: Path, tmp_path: Path) -> None:
    ids = measures_of_run(str(measured), []).ids
    table = tmp_path / "measures.parquet"
    columns = {"id": ids, "same": [1.0] * len(ids), "none": pa.nulls(len(ids), pa.float64())}
    pq.write_table(pa.table(columns), table)
    said: list[str] = []
    place = job(tmp_path / "a")
    pools(Job("pools", place.folder, say=said.append), table=str(table), measures=("same",))
    assert "same-mid: all values are 1" in said
    with pytest.raises(UsageError, match="none: no sample has a value"):
        made(tmp_path / "b", table=str(table), measures=("none",))


def picked(run: Path, *places: int) -> Pool:
    ids = measures_of_run(str(run), []).ids
    return Pool("some", ids.take(pa.array(places, pa.int64())), {"run": str(run)})


def test_a_digest_tells_pools_apart_by_what_is_trained_on() -> None:
    ids = pa.array(["a", "b", "c"])
    pool = Pool("one", ids, {"run": "here", "seed": 1})
    assert pool.digest == Pool("other", ids, {"run": "here", "seed": 2}).digest
    assert pool.digest == Pool("one", pa.array(["x", "a", "b", "c"]).slice(1), pool.origin).digest
    others = [
        ids[:2],
        ids.take(pa.array([1, 0, 2])),
        pa.array(["a", "b", "c", "c"]),
        pa.array(["ab", "c"]),
        ids[:0],
    ]
    digests = {pool.digest, *(Pool("one", each, pool.origin).digest for each in others)}
    assert len(digests | {Pool("one", ids, {"run": "there"}).digest}) == len(others) + 2


def test_webdataset_has_each_sample_as_often_as_the_pool(measured: Path, tmp_path: Path) -> None:
    found = export(picked(measured, 3, 5, 3, 3), tmp_path / "e", "webdataset")
    assert (found.samples, found.failed, found.shards) == (4, {}, 1)
    with tarfile.open(found.data / "00000.tar") as tar:
        names = tar.getnames()
        pictures = [tar.extractfile(n).read() for n in names if n.endswith(".png")]  # type: ignore[union-attr]
    assert [n for n in names if n.endswith(".png")] == ["p03.png", "p05.png", "p03~2.png", "p03~3.png"]
    assert [n for n in names if n.endswith(".txt")] == ["p03.txt", "p05.txt", "p03~2.txt", "p03~3.txt"]
    assert pictures[0] == pictures[2] == (measured.parent / "in/p03.png").read_bytes()


def test_llava_repeats_objects_and_not_pictures(measured: Path, tmp_path: Path) -> None:
    found = export(picked(measured, 3, 5, 3), tmp_path / "e", "llava")
    rows = json.loads(found.data.read_bytes())
    assert [row["id"] for row in rows] == ["p03", "p05", "p03"]
    assert rows[0]["conversations"][1] == {"from": "gpt", "value": "number 3, a picture"}
    assert [(found.media / row["image"]).exists() for row in rows] == [True] * 3
    assert len(list((found.folder / "images").rglob("*.png"))) == 2


def test_videos_come_as_files_and_a_table(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for k, name in enumerate(VIDEOS):
        shutil.copy(data_dir / "videos" / name, tmp_path / "in" / f"v{k}.mp4")
        (tmp_path / "in" / f"v{k}.txt").write_text(f"video {k},\nof a test")
    shutil.copy(tmp_path / "in/v0.mp4", tmp_path / "in/v9.mp4")
    (tmp_path / "in/v9.txt").write_bytes(b"caf\xe9")
    rules = "source: {path: in}\nsteps:\n  - keep: size_bytes > 0\nwrite: {path: out}"
    run(loads(rules, source=str(tmp_path / "in")), output=str(tmp_path / "out"), workers=0, quiet=True)
    found = export(picked(tmp_path / "out", 1, 0, 1, 2, 2), tmp_path / "e", "csv-videos")
    with found.data.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [
        "video 0,\nof a test",
        "video 1,\nof a test",
        "video 1,\nof a test",
    ]
    assert [row["type"] for row in rows] == ["video"] * 3
    assert (found.media / rows[1]["file_path"]).read_bytes() == (tmp_path / "in/v1.mp4").read_bytes()
    assert len(list((found.media / "clips").iterdir())) == 2
    # A caption that is no text is a failed sample, no caption with signs for what it lacks.
    assert found.failed == {"not UTF-8": 2}


def test_parquet_and_the_selection_itself(measured: Path, tmp_path: Path) -> None:
    found = export(picked(measured, 1, 1), tmp_path / "p", "parquet")
    rows = pq.read_table(found.data / "00000.parquet").to_pylist()
    assert [row["key"] for row in rows] == ["p01", "p01~2"]
    itself = export(picked(measured, 1, 2), tmp_path / "s", "sluice")
    assert len(Pool.read(itself.data)) == itself.samples == 2


def test_a_whole_export_is_left_as_it_is_and_a_part_of_one_goes(measured: Path, tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "00007.tar").write_bytes(b"left by a killed try")
    first = export(picked(measured, 1), tmp_path / "e", "webdataset")
    assert not (tmp_path / "e" / "00007.tar").exists()
    stamp = (first.data / "00000.tar").stat().st_mtime_ns
    assert export(picked(measured, 1), tmp_path / "e", "webdataset") == first == Exported.read(tmp_path / "e")
    assert (first.data / "00000.tar").stat().st_mtime_ns == stamp
    # What is there under the name of another pool is no export of this one.
    other = export(picked(measured, 1, 2), tmp_path / "e", "webdataset")
    assert (other.samples, other.pool == first.pool) == (2, False)


def test_what_is_gone_is_counted(tmp_path: Path) -> None:
    run = loop_data.captioned_run(tmp_path)
    (tmp_path / "in/p03.png").unlink()
    found = export(picked(run, 3, 5, 3), tmp_path / "e", "webdataset")
    assert (found.samples, found.failed) == (1, {"bytes not readable": 2})
    with pytest.raises(TrialError, match="none of the pool's samples can be written"):
        export(picked(run, 3), tmp_path / "f", "llava")


@pytest.mark.parametrize(("gone", "left"), [("b", ["a0", "a1"]), ("a", [])])
def test_what_a_file_held_that_is_gone_is_counted(tmp_path: Path, gone: str, left: list[str]) -> None:
    """Of samples without views, which are read again, too; none is taken for another."""
    (tmp_path / "in").mkdir()
    for name in "ab":
        rows = pa.table({"key": [f"{name}{k}" for k in range(2)], "text": [f"{name}, {k}" for k in range(2)]})
        pq.write_table(rows, tmp_path / f"in/{name}.parquet")
    rules = "source: {path: in}\nsteps:\n  - keep: size_bytes > 0\nwrite: {path: out}"
    run(loads(rules, source=str(tmp_path / "in")), output=str(tmp_path / "out"), workers=0, quiet=True)
    pool = picked(tmp_path / "out", 0, 1, 2, 3, 3)
    (tmp_path / f"in/{gone}.parquet").unlink()
    if not left:
        with pytest.raises(TrialError, match="5 could not be read again"):
            export(pool, tmp_path / "e", "parquet")
        return
    found = export(pool, tmp_path / "e", "parquet")
    assert (found.samples, found.failed) == (2, {"could not be read again": 3})
    assert pq.read_table(found.data / "00000.parquet").column("key").to_pylist() == left


def test_a_file_that_cannot_be_read_any_more_is_counted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "ab":
        rows = pa.table({"key": [name], "text": [f"{name}, a text"]})
        pq.write_table(rows, tmp_path / f"in/{name}.parquet")
    rules = "source: {path: in}\nsteps:\n  - keep: size_bytes > 0\nwrite: {path: out}"
    run(loads(rules, source=str(tmp_path / "in")), output=str(tmp_path / "out"), workers=0, quiet=True)
    opened = Run.open(str(tmp_path / "out"))
    samples = opened.samples(np.arange(2))
    assert [sample and sample.key for sample in [next(samples)]] == ["a"]
    (tmp_path / "in/b.parquet").unlink()  # after the source was listed
    assert list(samples) == [None]


@pytest.mark.parametrize("format", ["webdataset", "llava", "csv-videos", "parquet", "sluice"])
def test_an_empty_pool_gives_nothing_to_train_on(measured: Path, tmp_path: Path, format: Any) -> None:
    with pytest.raises(TrialError, match="empty pool"):
        export(picked(measured), tmp_path / "e", format)
    assert not (tmp_path / "e" / "export.json").exists()


def test_pools_of_a_table_have_no_media(measured: Path, tmp_path: Path) -> None:
    ids = measures_of_run(str(measured), []).ids
    with pytest.raises(UsageError, match="names no run"):
        export(Pool("some", ids, {}), tmp_path / "e", "webdataset")
    with pytest.raises(SluiceError, match="1 samples of the pool 'some' are not in its run"):
        export(Pool("some", pa.array(["0" * 32]), {"run": str(measured)}), tmp_path / "f", "webdataset")
