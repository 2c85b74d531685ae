"""The journeys of the command line on real pictures: run, interrupt, continue, ask, convert."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from commands import command, sluice

FATES = ("kept", "dropped", "duplicate", "failed")

RECIPE = """
source: {path: photos}
steps:
  - keep: {rule: image_width_px >= 32 and image_height_px >= 32, name: too small}
  - keep: {rule: image_entropy >= 1, name: blank}
  - dedup: {by: image_content_hash, name: same file}
write: {path: curated, shard_samples: 3}
"""


def balanced(counts: dict[str, Any]) -> bool:
    return bool(counts["read"] == sum(counts[fate] for fate in FATES))


def test_real_photographs_from_source_to_verified_shards(photos: Path) -> None:
    here = photos.parent
    (here / "mine.yaml").write_text(RECIPE)
    done = sluice("run", "mine.yaml", "--json", cwd=here)
    assert done.code == 0, done.err
    summary = done.document
    assert summary["read"] == 11
    assert balanced(summary)
    assert summary["duplicate"] >= 1
    assert summary["failed"] >= 2
    assert sum(summary["failures"].values()) == summary["failed"]
    assert sum(summary["by_rule"].values()) == summary["dropped"] + summary["duplicate"]
    for name in ("output", "run", "seconds", "items_per_second", "peak_rss_mb", "steps"):
        assert summary[name], name
    assert Path(summary["report"]).read_text().startswith("<!doctype html>")
    assert sluice("verify", "curated", "--json", cwd=here).document["kept"] == summary["kept"]
    again = sluice("run", "mine.yaml", cwd=here)
    assert again.code == 0
    assert f"11 read = {summary['kept']} kept" in again.out


def test_strict_stops_and_too_many_failures_exit_1(photos: Path) -> None:
    here = photos.parent
    (here / "mine.yaml").write_text(RECIPE)
    strict = sluice("run", "mine.yaml", "--strict", "--quiet", cwd=here)
    assert strict.code == 1
    assert "--strict" in strict.err
    limited = sluice("run", "mine.yaml", "--set", "max_failed=1%", "--update", "--json", cwd=here)
    assert limited.code == 1
    assert "max_failed" in limited.document["error"]
    assert not (here / "curated/00000.tar").exists()


def test_a_limit_reads_only_so_many(photos: Path) -> None:
    here = photos.parent
    (here / "mine.yaml").write_text(RECIPE)
    done = sluice("run", "mine.yaml", "--limit", "4", "--workers", "0", "--json", cwd=here)
    assert done.code == 0, done.err
    assert done.document["read"] == 4


def test_an_interrupted_run_exits_130_and_is_continued(finished_demo: Path, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/source").symlink_to(finished_demo / "demo/source")
    words = ("run", "images", "--source", "demo/source", "--output", "demo/curated")
    process = subprocess.Popen(
        command(*words), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        # The lock is written right before the work begins.
        deadline = time.monotonic() + 60
        while not (tmp_path / "demo/curated/_sluice/lock.yaml").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert out == ""
    assert "interrupted" in err
    assert "Traceback" not in err
    done = sluice(*words, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    whole = json.loads((finished_demo / "run.json").read_text())
    assert {f: done.document[f] for f in FATES} == {f: whole[f] for f in FATES}
    for name in ("00000.tar", "00000.parquet"):
        uninterrupted = (finished_demo / "demo/curated" / name).read_bytes()
        assert (tmp_path / "demo/curated" / name).read_bytes() == uninterrupted


def test_plan_writes_nothing(photos: Path) -> None:
    here = photos.parent
    (here / "mine.yaml").write_text(RECIPE)
    before = sorted(here.rglob("*"))
    done = sluice("plan", "mine.yaml", "--json", cwd=here)
    assert done.code == 0, done.err
    assert sorted(here.rglob("*")) == before
    assert (done.document["samples"], done.document["units_known"]) == (11, 0)
    operators = [o["operator"] for p in done.document["passes"] for o in p["operators"]]
    assert set(operators) == {"image_width_px", "image_height_px", "image_entropy", "image_content_hash"}


def test_a_probe_forecasts_and_its_measures_are_used(photos: Path) -> None:
    here = photos.parent
    (here / "mine.yaml").write_text(RECIPE)
    done = sluice("plan", "mine.yaml", "--probe", "5", "--json", cwd=here)
    assert done.code == 0, done.err
    forecast = done.document["forecast"]
    assert forecast["kept"]["low"] <= forecast["kept"]["share"] <= forecast["kept"]["high"]
    assert not (here / "curated").exists()
    assert sluice("plan", "mine.yaml", "--json", cwd=here).document["units_known"] == 1


def test_select_asks_other_rules_and_exports_their_selection(demo: Path, tmp_path: Path) -> None:
    rules = ("--keep", "image_width_px >= 400", "--keep", "image_contrast >= 20")
    asked = sluice("select", "demo/curated", *rules, "--json", cwd=demo).document
    assert balanced(asked)
    assert list(asked["by_rule"])[:2] == ["image_width_px >= 400", "image_contrast >= 20"]
    target = str(tmp_path / "selected")
    written = sluice("select", "demo/curated", *rules, "--write", target, "--json", cwd=demo).document
    assert balanced(written)
    assert written["dropped"] == asked["dropped"]
    assert written["kept"] <= asked["kept"]
    assert sluice("verify", target, cwd=demo).code == 0
    measured = [s for s in written["steps"] if s["name"] == "measure"]
    assert [s["items"] for s in measured] == [0]


def test_select_asks_other_thresholds_of_duplicates(demo: Path) -> None:
    run = sluice("select", "demo/curated", "--dedup", "image_phash=6", "--json", cwd=demo).document
    fewer = sluice("select", "demo/curated", "--dedup", "image_phash=0", "--json", cwd=demo).document
    assert balanced(run)
    assert fewer["by_rule"]["same picture"] < run["by_rule"]["same picture"]
    more = sluice("select", "demo/curated", "--dedup", "image_phash=9", "--json", cwd=demo)
    assert (more.code, more.document["fix"]) == (
        3,
        "compare anew: give --write, or run the recipe with that threshold",
    )
    for words in ((), ("--dedup", "image_phash"), ("--dedup", "image_phash=many"), ("--dedup", "key=1")):
        assert sluice("select", "demo/curated", *words, cwd=demo).code == 2


def test_why_tells_values_rules_and_twins(demo: Path) -> None:
    (sample,) = sluice("why", "demo/curated", "originals/coffee", "--json", cwd=demo).document["samples"]
    assert sample["fate"] == "duplicate"
    assert sample["duplicate_of"]["key"] == "copies/coffee-copy"
    assert sample["values"]["image_width_px"] == 600
    shown = sluice("why", "demo/curated", "originals/coffee", cwd=demo).out
    assert sample["similarity_is"] == "identity"
    assert "duplicate of copies/coffee-copy (identical), by 'same file'" in shown
    kept = sluice("why", "demo/curated", "copies/coffee-copy", cwd=demo).out
    assert "stands for its duplicate originals/coffee (identical)" in kept
    assert " apart)" in sluice("why", "demo/curated", "copies/coffee-smaller", cwd=demo).out
    assert "image_sharpness_normalised >= 20" in shown
    failed = sluice("why", "demo/curated", "broken/half-a-cat", cwd=demo).out
    assert "failed (truncated)" in failed


def test_a_store_that_was_deleted_is_told_and_made_again(photos: Path) -> None:
    here = photos.parent
    again = (
        "run",
        "images",
        "--source",
        "photos",
        "--output",
        "again",
        "--store",
        "kept",
        "--set",
        "max_failed=100%",
    )
    assert sluice(*again, cwd=here).code == 0
    shutil.rmtree(here / "kept")
    for words in (
        ("why", "again", "x"),
        ("select", "again", "--keep", "image_width_px > 5"),
        ("report", "again"),
    ):
        done = sluice(*words, cwd=here)
        assert done.code == 1
        assert "the store no longer holds" in done.err
    assert sluice(*again, cwd=here).code == 0
    assert sluice("select", "again", "--keep", "image_width_px > 5", cwd=here).code == 0


def test_convert_takes_the_format_from_the_targets_name(photos: Path) -> None:
    here = photos.parent
    for name, first in (
        ("a.parquet", "00000.parquet"),
        ("b.jsonl/", "00000.jsonl"),
        ("c", "00000.tar"),
        ("d.tar", "00000.tar"),
    ):
        done = sluice("convert", "photos", name, cwd=here)
        assert done.code == 0, done.err
        assert "1 shard, " in done.out
        assert done.out.rstrip().endswith(f"in {name.rstrip('/')}/")
        assert (here / name / first).is_file()
    assert sluice("convert", "photos", "e.parquet", "--to", "jsonl", cwd=here).code == 0
    assert (here / "e.parquet/00000.jsonl").is_file()


def test_a_damaged_selection_is_told(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo / "demo/curated", tmp_path / "curated")
    (tmp_path / "curated/selection.parquet").write_bytes(b"no table")
    done = sluice("why", "curated", "originals/coffee", cwd=tmp_path)
    assert done.code == 1
    assert "selection.parquet: cannot be read" in done.err
    assert "Traceback" not in done.err


def test_convert_lists_failures_and_exits_1(photos: Path) -> None:
    here = photos.parent
    assert sluice("convert", "photos", "tars", "--shard-samples", "4", cwd=here).code == 0
    assert sorted(p.name for p in (here / "tars").glob("*.tar")) == ["00000.tar", "00001.tar", "00002.tar"]
    data = (here / "tars/00001.tar").read_bytes()
    (here / "tars/00001.tar").write_bytes(data[:2000])
    done = sluice("convert", "tars", "tables", "--to", "parquet", cwd=here)
    assert done.code == 1
    assert "truncated tar" in done.out
    shutil.rmtree(here / "tables")
    as_json = sluice("convert", "tars", "tables", "--to", "parquet", "--json", cwd=here)
    assert as_json.code == 1
    document = as_json.document
    assert document["read"] == document["written"] + document["failed"]
    assert document["reasons"] == {"truncated tar": 1}
    assert len(document["failures"]) == 1


def test_preview_draws_the_same_pictures_for_the_same_seed(photos: Path) -> None:
    here = photos.parent
    first = sluice("preview", "photos", "--count", "5", "--output", "a.png", "--json", cwd=here)
    again = sluice("preview", "photos", "--count", "5", "--output", "b.png", "--json", cwd=here)
    assert first.code == 0, first.err
    assert len(first.document["pictures"]) == 5
    assert first.document["pictures"] == again.document["pictures"]
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()
    assert (here / "a.png").read_bytes().startswith(b"\x89PNG")
    other = sluice(
        "preview", "photos", "--count", "5", "--seed", "1", "--output", "c.jpg", "--json", cwd=here
    )
    assert other.document["pictures"] != first.document["pictures"]
    assert (here / "c.jpg").read_bytes().startswith(b"\xff\xd8")


def test_init_fits_the_recipe_to_the_source(photos: Path) -> None:
    here = photos.parent
    for path in list(photos.iterdir()):
        path.with_suffix(".txt").write_text("a caption of four words")
    paired = sluice("init", "--source", "photos", "--json", cwd=here)
    assert paired.document["kind"] == "image-text-basic"
    assert sluice("plan", "image-text-basic.yaml", "--output", "out", cwd=here).code == 0
