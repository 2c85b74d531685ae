"""Whole runs over hostile operators, files, archives and tables: every sample is counted, the good ones are kept."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from operators_hostile import image_fragile, image_fragile_score
from PIL import Image

from sluice.codec.limits import Limits
from sluice.operator import Registry, registry
from sluice.recipe.load import loads
from sluice.run import run
from sluice.run.engine import WorkerLimits
from sluice.run.local import LocalEngine
from sluice.run.verify import verify
from sluice.storage import Location
from sluice.store import RunDir


def picture(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC).save(out, format="JPEG")
    return out.getvalue()


def conserved(summary: dict[str, Any]) -> None:
    fates = ("kept", "dropped", "duplicate", "failed")
    assert summary["read"] == sum(summary[fate] for fate in fates)
    assert sum(summary["failures"].values()) == summary["failed"]


def fates(output: Path) -> dict[str, tuple[str, str | None]]:
    """Key → fate and reason."""
    table = pq.read_table(output / "selection.parquet", columns=["key", "fate", "reason"])
    return {row["key"]: (row["fate"], row["reason"]) for row in table.to_pylist()}


def verified(output: Path) -> dict[str, int]:
    return verify(RunDir.of(Location(output)), quiet=True)


# Operators.

OPERATORS = Registry([*registry(), *registry().features(), image_fragile.spec, image_fragile_score.spec])


def make_pictures(folder: Path, deeds: dict[int, str], count: int) -> Path:
    folder.mkdir(parents=True)
    for k in range(count):
        trailer = b"\0" + deeds[k].encode() if k in deeds else b""
        (folder / f"p{k:03d}.jpg").write_bytes(picture(k) + trailer)
    return folder


def broken_run(
    tmp_path: Path, rule: str, deeds: dict[int, str], count: int, limits: WorkerLimits
) -> dict[str, Any]:
    source = make_pictures(tmp_path / "in", deeds, count)
    recipe = loads(f"source: in\nsteps: [keep: '{rule}']\nwrite: out", source=str(source))
    with LocalEngine(2, limits) as engine:
        summary = run(recipe, output=str(tmp_path / "out"), engine=engine, operators=OPERATORS, quiet=True)
    conserved(summary)
    return summary


def failed(output: Path) -> dict[int, str]:
    return {int(key[1:]): reason or "" for key, (fate, reason) in fates(output).items() if fate == "failed"}


def test_operators_that_break_on_single_samples_cost_these_alone(tmp_path: Path) -> None:
    deeds = {
        3: ("one:RAISE", "ZeroDivisionError"),
        7: ("one:HANG", "time limit"),
        11: ("one:HOARD", "out of memory"),
        12: ("one:GROW", "out of memory"),
        13: ("one:SEGV", "crash: SIGSEGV"),
        21: ("one:ABORT", "crash: SIGABRT"),
        29: ("one:LEAVE", "crash: exit code 9"),
    }
    limits = WorkerLimits(sample_s=1, memory_mb=256, codec=Limits())
    told = {k: deed for k, (deed, _) in deeds.items()}
    summary = broken_run(tmp_path, "image_fragile >= 1 and image_sharpness >= 0", told, 30, limits)
    assert (summary["read"], summary["kept"]) == (30, 23)
    assert failed(tmp_path / "out") == {k: f"image_fragile: {why}" for k, (_, why) in deeds.items()}
    assert verified(tmp_path / "out")["kept"] == 23


def test_operators_that_take_batches_cost_the_guilty_samples_alone(tmp_path: Path) -> None:
    deeds = {
        1: ("all:RAISE", "ZeroDivisionError"),
        5: ("all:SEGV", "crash: SIGSEGV"),
        8: ("all:GROW", "out of memory"),
    }
    limits = WorkerLimits(sample_s=1, memory_mb=256, codec=Limits())
    told = {k: deed for k, (deed, _) in deeds.items()}
    rule = "image_fragile_score >= 0 and image_sharpness >= 0"
    summary = broken_run(tmp_path, rule, told, 30, limits)
    assert (summary["read"], summary["kept"]) == (30, 27)
    assert failed(tmp_path / "out") == {k: f"image_fragile_score: {why}" for k, (_, why) in deeds.items()}


def test_a_batch_that_hangs_is_given_its_samples_time_and_then_searched(tmp_path: Path) -> None:
    limits = WorkerLimits(sample_s=0.4, memory_mb=256, codec=Limits())
    summary = broken_run(tmp_path, "image_fragile_score >= 0", {2: "all:HANG"}, 6, limits)
    assert (summary["read"], summary["kept"]) == (6, 5)
    assert failed(tmp_path / "out") == {2: "image_fragile_score: time limit"}
    assert summary["seconds"] < 30
