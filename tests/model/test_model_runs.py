"""Whole runs with models: the same scores for any number of workers, and through a model process.

The seconds go to workers that import torch: four of them, and two processes.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from model_operators import operators
from PIL import Image

import tiny_models
from sluice.recipe.load import loads
from sluice.run import run

RECIPE = """
source: {{path: {source}}}
steps:
  - measure: [{measure}]
write: {{path: out, embeddings: float32}}
"""
UNITS = 3


def picture(width: int, height: int, seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize((width, height)).save(out, format="PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tar shards, so that two workers have something to share; one picture is 13 pixels wide."""
    import tarfile

    folder = tmp_path_factory.mktemp("shards")
    for unit in range(UNITS):
        with tarfile.open(folder / f"{unit}.tar", "w") as tar:
            for k in range(11):
                number = unit * 11 + k
                data = picture(13 if number == 17 else 20 + number, 16, number)
                info = tarfile.TarInfo(f"{number:03d}.png")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return folder


def go(folder: Path, source: Path, measure: str, workers: int) -> dict[str, Any]:
    recipe = loads(RECIPE.format(source=source, measure=measure))
    summary = run(
        recipe,
        output=str(folder / "out"),
        store=str(folder / "store"),
        workers=workers,
        quiet=True,
        operators=operators(),
    )
    assert summary["read"] == UNITS * 11
    return summary


def test_scores_are_the_same_bits_for_any_number_of_workers_and_through_the_process(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_models.clip(tmp_path / "clip")
    measure = f"{{clip_embedding: {{with: {{clip: {{model: {model}}}}}}}}}"
    tables = {}
    for name, workers, served in (
        ("one", 1, "off"),
        ("two", 2, "off"),
        ("here", 0, "off"),
        ("served", 1, "cpu"),
    ):
        monkeypatch.setenv("SLUICE_MODEL_PROCESS", served)
        assert go(tmp_path / name, source, measure, workers)["kept"] == 33
        tables[name] = pq.read_table(tmp_path / name / "out/00000.parquet")
    assert tables["one"].column("clip_embedding").null_count == 0
    assert all(table.equals(tables["one"]) for table in tables.values())


def test_a_sample_that_kills_the_model_process_is_that_samples_failure(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_MODEL_PROCESS", "cpu")
    deaths = tmp_path / "deaths"
    summary = go(tmp_path, source, f"{{image_mortal_score: {{deaths: {deaths}}}}}", 2)
    assert summary["failures"] == {"image_mortal_score: the model process died": 1}
    assert summary["kept"] == 32
    assert len(deaths.read_bytes()) == 4  # in company twice, then alone twice
    assert sum(times for note, times in summary["notes"].items() if "SIGKILL" in note) == 4
