"""Whole runs with models in ONNX: the same values for any workers, faces blurred on the way out, bad models told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from onnx_files import mean_classifier
from sluice.codec import decode
from sluice.ops.image.faces import faces

DETECTOR = "Ultra-Light-Fast-Generic-Face-Detector-1MB__version-RFB-320.onnx"
PHOTOS = [
    "edgetpu__face.jpg",
    "scikit-image__astronaut.png",
    "RapidOCR__ch_en_num.jpg",
    "scikit-image__coffee.png",
    "Pillow__pil_sample_cmyk.jpg",
    "Pillow__hopper.jpg",
]

RECIPE = """
source: {{path: {source}}}
steps:
  - measure: [image_face_count, image_face_area_ratio, image_text_area_ratio]
  - measure: [{{image_onnx_classifier: {{model: {classifier}, label: 0, as: first}}}}]
  - keep: {{rule: image_text_area_ratio <= 0.3, name: text}}
  - map: image_blur_faces
write: {{path: {output}}}
"""


@pytest.fixture
def models(data_dir: Path, tmp_path: Path) -> Path:
    """A models folder as `sluice models fetch` leaves it."""
    folder = tmp_path / "models"
    (folder / "ultraface-rfb-320").mkdir(parents=True)
    (folder / "ultraface-rfb-320" / "version-RFB-320.onnx").symlink_to(data_dir / "models" / DETECTOR)
    return folder


def ran(
    folder: Path, models: Path, recipe: str, *options: str, **values: Any
) -> subprocess.CompletedProcess[str]:
    path = folder / "recipe.yaml"
    path.write_text(recipe.format(source=folder / "in", **values))
    command = [sys.executable, "-W", "error", "-m", "sluice", "run", str(path), "--quiet", "--json", *options]
    environment = {**os.environ, "SLUICE_MODELS": str(models), "HF_HUB_CACHE": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def source(data_dir: Path, tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for k, name in enumerate(PHOTOS):
        (tmp_path / "in" / f"{k}{Path(name).suffix}").symlink_to(data_dir / "photos" / name)
    (tmp_path / "in" / "9.jpg").write_bytes((data_dir / "photos" / PHOTOS[0]).read_bytes()[:9000])
    return tmp_path


def test_values_are_the_same_for_any_workers_and_faces_leave_blurred(source: Path, models: Path) -> None:
    classifier = mean_classifier(source / "classifier.onnx")
    tables = []
    for workers in ("1", "2"):
        output = source / f"out{workers}"
        done = ran(source, models, RECIPE, "--workers", workers, classifier=classifier, output=output)
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert (summary["kept"], summary["dropped"], summary["failed"]) == (4, 2, 1), summary
        files = sorted(path for path in output.glob("*.parquet") if path.name != "selection.parquet")
        tables.append([pq.read_table(path) for path in files])
    assert tables[0] == tables[1]
    (table,) = tables[0]
    rows = {row["key"]: row for row in table.to_pylist()}
    assert {key: row["image_face_count"] for key, row in rows.items()} == {"0": 4, "1": 1, "3": 0, "5": 1}
    assert all(0 <= row["first_probability"] <= 1 for row in rows.values())

    detector = faces(model=str(models / "ultraface-rfb-320" / "version-RFB-320.onnx"))
    detector.open()
    with tarfile.open(next((source / "out1").glob("*.tar"))) as tar:
        written = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    assert written["3.png"] == (source / "in" / "3.png").read_bytes()
    for name in ("0.jpg", "1.png", "5.jpg"):
        assert len(detector(decode(written[name])).at_least(0.7)) == 0, name


def told(done: subprocess.CompletedProcess[str]) -> str:
    """All that a run printed; with `--json` errors come on standard output."""
    return done.stdout + done.stderr


ONE = "source: {{path: {source}}}\nsteps:\n  - measure: [{{{step}}}]\nwrite: {{path: {source}-out}}\n"


def test_a_model_that_is_not_here_ends_a_run_before_it_begins(source: Path, models: Path) -> None:
    (models / "ultraface-rfb-320" / "version-RFB-320.onnx").unlink()
    done = ran(source, models, ONE, step="image_face_count: {}")
    assert done.returncode == 3
    assert "sluice models fetch ultraface-rfb-320" in told(done)
    assert "Traceback" not in told(done)


def test_a_file_that_is_no_model_ends_a_run_with_what_to_do(source: Path, models: Path) -> None:
    (source / "m.onnx").write_text("not a model")
    step = f"image_onnx_classifier: {{model: {source / 'm.onnx'}, label: 0}}"
    done = ran(source, models, ONE, "--workers", "1", step=step)
    assert done.returncode == 3, done.stderr
    assert "not a whole ONNX model" in told(done)
    assert "Traceback" not in told(done)


def test_a_label_that_the_model_has_not_ends_a_run_with_those_near_it(source: Path, models: Path) -> None:
    model = mean_classifier(source / "m.onnx")
    step = f"image_onnx_classifier: {{model: {model}, label: grene, labels: [red, green, blue]}}"
    done = ran(source, models, ONE, "--workers", "1", step=step)
    assert done.returncode == 2, done.stderr
    assert "did you mean 'green'" in told(done)
    assert "Traceback" not in told(done)
