"""Mappers in whole runs: before the rules they change what is measured, after them only what is written."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from deadly_mappers import BAIT, image_deadly
from PIL import Image
from small_pictures import make_source, picture

from sluice.codec.strip import strip_metadata
from sluice.errors import PlanError, SluiceError
from sluice.operator import Registry, registry
from sluice.recipe.load import loads
from sluice.run import run
from sluice.store.opened import Run
from sluice.store.whatif import what_if

RESIZE = "  - map: {image_resize: {max_side_px: %d}}\n"
KEEP = "  - keep: image_width_px >= 31\n"
MEASURE = "  - measure: image_content_hash\n"
LEADING = RESIZE % 32 + KEEP + MEASURE
TRAILING = KEEP + MEASURE + RESIZE % 32


def mapped_run(folder: Path, steps: str, **options: Any) -> dict[str, Any]:
    if not (folder / "in").exists():
        make_source(folder / "in")
    settings = {"workers": 0, "quiet": True, "output": str(folder / "out"), **options}
    text = f"source: in\nsteps:\n{steps}write: {{path: out, format: folder, shard_samples: 3}}\n"
    return run(loads(text, source=str(folder / "in")), **settings)


def pictures(output: Path) -> dict[str, bytes]:
    found = [*output.rglob("*.jpg"), *output.rglob("*.png")]
    return {path.name: path.read_bytes() for path in found}


def sides(output: Path) -> dict[str, int]:
    return {name: max(Image.open(io.BytesIO(data)).size) for name, data in pictures(output).items()}


def everything(output: Path) -> dict[str, bytes]:
    """All that a run wrote for others to read; its own notes hold times."""
    paths = (p for p in output.rglob("*") if p.is_file() and "_sluice" not in p.parts)
    return {str(path.relative_to(output)): path.read_bytes() for path in paths}


def widths(summary: dict[str, Any]) -> list[int]:
    return sorted(v for v in column(summary, "image_width_px") if v is not None)


def column(summary: dict[str, Any], name: str) -> list[Any]:
    (part,) = Path(summary["table"]).glob("part-*.parquet")
    values: list[Any] = pq.read_table(part, columns=[name]).column(0).to_pylist()
    return values


def test_before_the_rules_the_new_versions_are_measured_and_written(tmp_path: Path) -> None:
    found = mapped_run(tmp_path, LEADING)
    # Seven of 64 x 48 px became 32 x 24; two of 30 x 30 px fall; one is no picture.
    assert widths(found) == [30, 30, *[32] * 7]
    assert [found[fate] for fate in ("read", "kept", "dropped", "failed")] == [10, 7, 2, 1]
    assert set(sides(tmp_path / "out").values()) == {32}
    assert found["failures"] == {"image_resize: not an image": 1}


def test_after_the_rules_the_originals_are_measured_and_the_new_versions_written(tmp_path: Path) -> None:
    found = mapped_run(tmp_path, TRAILING)
    assert widths(found) == [30, 30, *[64] * 7]
    assert [found[fate] for fate in ("read", "kept", "dropped", "failed")] == [10, 7, 2, 1]
    assert set(sides(tmp_path / "out").values()) == {32}
    assert found["failures"] == {"not an image": 1}


def test_both_ways_write_the_same_pictures_and_sidecars(tmp_path: Path) -> None:
    for name, steps in (("before", LEADING), ("after", TRAILING)):
        mapped_run(tmp_path, steps, output=str(tmp_path / name))
    before, after = pictures(tmp_path / "before"), pictures(tmp_path / "after")
    assert before == after
    assert before["good-0.jpg"] != picture(0)
    for name in ("before", "after"):
        (caption,) = (tmp_path / name).rglob("good-1.txt")
        assert caption.read_text() == "A caption — with a dash.\n"


@pytest.mark.parametrize("steps", [LEADING, TRAILING], ids=["before", "after"])
def test_the_same_run_again_measures_and_writes_nothing(tmp_path: Path, steps: str) -> None:
    mapped_run(tmp_path, steps)
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.jpg")}
    again = mapped_run(tmp_path, steps)
    assert next(s["items"] for s in again["steps"] if s["name"] == "measure") == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.jpg")} == times


@pytest.mark.parametrize("steps", [LEADING, TRAILING], ids=["before", "after"])
def test_other_settings_of_the_mapper_give_other_bytes(tmp_path: Path, steps: str) -> None:
    mapped_run(tmp_path, steps)
    found = mapped_run(tmp_path, steps.replace("max_side_px: 32", "max_side_px: 48"), update=True)
    measured = next(s["items"] for s in found["steps"] if s["name"] == "measure")
    assert measured == (10 if steps is LEADING else 0)
    assert set(sides(tmp_path / "out").values()) == {48}


def test_new_settings_reach_the_output_where_no_measure_saw_the_bytes(tmp_path: Path) -> None:
    steps = RESIZE + "  - keep: key != ''\n"
    mapped_run(tmp_path, steps % 32)
    mapped_run(tmp_path, steps % 16, update=True)
    assert set(sides(tmp_path / "out").values()) == {16}


@pytest.mark.parametrize("steps", [LEADING, TRAILING], ids=["before", "after"])
def test_any_number_of_workers_writes_the_same_bytes(tmp_path: Path, steps: str) -> None:
    for workers in (0, 2):
        place = tmp_path / str(workers)
        mapped_run(tmp_path, steps, workers=workers, output=str(place / "out"), store=str(place / "store"))
    alone, many = (everything(tmp_path / str(workers) / "out") for workers in (0, 2))
    assert alone.keys() == many.keys()
    assert all(alone[name] == many[name] for name in alone)


def test_what_cannot_be_mapped_when_it_is_written_fails_and_is_counted(tmp_path: Path) -> None:
    make_source(tmp_path / "in")
    whole = picture(7)
    (tmp_path / "in" / "cut.jpg").write_bytes(whole[:-40])  # its head is sound
    found = mapped_run(tmp_path, KEEP + RESIZE % 32)
    assert [found[fate] for fate in ("read", "kept", "dropped", "failed")] == [11, 7, 2, 2]
    assert found["failures"] == {"image_resize: truncated": 1, "not an image": 1}
    assert "cut.jpg" not in pictures(tmp_path / "out")


def test_bytes_that_changed_since_they_were_measured_are_not_mapped(tmp_path: Path) -> None:
    make_source(tmp_path / "in")
    steps = KEEP + MEASURE + RESIZE
    mapped_run(tmp_path, steps % 32, output=str(tmp_path / "first"), store=str(tmp_path / "store"))
    target = tmp_path / "in" / "good-0.jpg"
    stat, data = target.stat(), bytearray(target.read_bytes())
    data[-20] ^= 1
    target.write_bytes(data)
    os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    found = mapped_run(tmp_path, steps % 16, output=str(tmp_path / "second"), store=str(tmp_path / "store"))
    assert found["failures"]["changed since it was measured"] == 1
    assert "good-0.jpg" not in pictures(tmp_path / "second")


def test_a_recipe_of_mappers_alone_converts(tmp_path: Path) -> None:
    strip = "  - map: image_strip_metadata\n"
    found = mapped_run(tmp_path, RESIZE % 32 + strip)
    assert (found["read"], found["kept"], found["failed"]) == (10, 9, 1)
    assert set(sides(tmp_path / "out").values()) == {30, 32}


def test_the_lock_names_the_mappers(tmp_path: Path) -> None:
    mapped_run(tmp_path, LEADING)
    (entry,) = yaml.safe_load(Run.open(str(tmp_path / "out")).lock_text)["mappers"]
    assert (entry["step"], entry["operator"]) == ("steps.0", "image_resize")
    assert entry["settings"]["max_side_px"] == 32
    assert entry["libraries"].keys() >= {"pillow"}


def test_a_finished_run_shows_and_asks_about_the_new_versions(tmp_path: Path) -> None:
    found = mapped_run(tmp_path, LEADING)
    opened = Run.open(str(tmp_path / "out"))
    data = opened.picture(column(found, "key").index("good-0"))
    assert data == pictures(tmp_path / "out")["good-0.jpg"]
    assert what_if(opened, ["image_width_px <= 31"]).counts()["kept"] == 2


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (KEEP + RESIZE % 32 + MEASURE, "stands between other steps"),
        ("  - map: image_width_px\n" + KEEP, "is a measure, not a mapper"),
        ("  - map: image_resise\n", "did you mean 'image_resize'"),
        ("  - map: {image_resize: {max_side: 3}}\n", "did you mean 'max_side_px'"),
        ("  - map: {image_resize: {as: small}}\n", "mean nothing for the mapper"),
    ],
)
def test_a_mapper_that_cannot_be_run_is_refused_before_any_work(
    tmp_path: Path, steps: str, words: str
) -> None:
    with pytest.raises(SluiceError, match=words) as caught:
        mapped_run(tmp_path, steps)
    assert caught.value.where.endswith((":3", ":4"))
    assert not (tmp_path / "out").exists()


def test_the_refusal_says_where_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        mapped_run(tmp_path, KEEP + RESIZE % 32 + MEASURE)
    assert caught.value.where.endswith(":4")
    assert "before all other steps" in caught.value.fix


def test_ledgers_know_the_failures(tmp_path: Path) -> None:
    mapped_run(tmp_path, TRAILING)
    ledgers = sorted((tmp_path / "out").rglob("shards/*.json"))
    assert ledgers
    assert all(json.loads(p.read_text())["failed"] == {} for p in ledgers)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [("  - map: image_deadly\n" + KEEP, "reading: "), (KEEP + "  - map: image_deadly\n", "image_deadly: ")],
)
def test_a_mapper_that_kills_its_worker_costs_one_sample(tmp_path: Path, steps: str, reason: str) -> None:
    make_source(tmp_path / "in")
    (tmp_path / "in" / "deadly.jpg").write_bytes(picture(8) + BAIT)
    operators = Registry([*registry(), *registry().features(), image_deadly.spec])
    found = mapped_run(tmp_path, steps, workers=2, operators=operators)
    assert [found[fate] for fate in ("read", "kept", "dropped", "failed")] == [11, 7, 2, 2]
    assert [r for r in found["failures"] if r.startswith(reason)] != []
    assert "deadly.jpg" not in pictures(tmp_path / "out")


@pytest.mark.parametrize("policy", ["drop_item", "fail", "null"])
def test_no_policy_lets_an_item_through_that_could_not_be_mapped(tmp_path: Path, policy: str) -> None:
    with tarfile.open(tmp_path / "in.tar", "w") as tar:
        for name, data in (("a.left.jpg", picture(1)), ("a.right.gif", picture(2, kind="GIF"))):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    steps = "  - map: image_strip_metadata\n  - measure: image_content_hash\n"
    text = f"source: in\nsteps:\n{steps}item_errors: {policy}\nwrite: {{path: out, format: folder}}\n"
    found = run(
        loads(text, source=str(tmp_path / "in.tar")), output=str(tmp_path / "out"), workers=0, quiet=True
    )
    assert (found["read"], found["kept"]) == (1, 1 if policy == "drop_item" else 0)
    written = [p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert picture(2, kind="GIF") not in written
    assert (strip_metadata(picture(1)) in written) == (policy == "drop_item")
