"""An embedding model that somebody brings: sensible on photographs, and near-duplicates go by it, end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tflite_operators

from sluice.operator import Program, Registry
from sluice.sample import Item, Media, Sample

EXTRACTOR = "edgetpu__mobilenet_v1_1.0_224_quant_embedding_extractor.tflite"
CLASSIFIER = "edgetpu__mobilenet_v2_1.0_224_quant.tflite"
LABELS = "edgetpu__imagenet_labels.txt"
SAME = [
    ["data-juicer__cat.jpg", "xtuner__mscoco_twocat_000000039769.jpg"],
    ["edgetpu__cat_1080p.jpg", "edgetpu__cat_720p.jpg"],
    ["Pillow__flower.jpg", "Pillow__flower.webp"],
    ["Pillow__hopper.jpg", "Pillow__hopper.webp", "Pillow__hopper_orientation_6.jpg"],
    ["sharp__Landscape_3.jpg", "sharp__Landscape_6.jpg", "sharp__Landscape_8.jpg"],
    ["img2dataset__389_535.jpg", "img2dataset__original.png", "img2dataset__blurred.png"],
]
"""Photographs that are one picture in other sizes, formats, turns and qualities."""
UNLIKE = [
    "scikit-image__coffee.png",
    "scikit-image__astronaut.png",
    "edgetpu__hot_dog.jpg",
    "mmpretrain__bird.JPEG",
    "LLaVA__extreme_ironing.jpg",
    "InternVL__image1.jpg",
]
NAMES = [*(name for group in SAME for name in group), *UNLIKE]
KNOWN = {
    "scikit-image__coffee.png": "espresso",
    "edgetpu__hot_dog.jpg": "hotdog",
    "data-juicer__cat.jpg": "tabby",
    "edgetpu__cat_720p.jpg": "Egyptian cat",
    "InternVL__image1.jpg": "lesser panda",
    "LLaVA__extreme_ironing.jpg": "cab",
    "mmpretrain__bird.JPEG": "house finch",
    "scikit-image__camera.png": "tripod",
}
"""How the labels of photographs begin, as people would label them."""


def measured(data_dir: Path, operator: Any, names: list[str], **settings: str) -> list[Any]:
    spec = operator.spec
    samples = [
        Sample(name, name, (Item("image", media=Media(data=(data_dir / "photos" / name).read_bytes())),))
        for name in names
    ]
    found = Program([Registry([spec, *_features()]).bind(spec.name, settings)])(samples)
    assert not any(found.notes), found.notes
    return [values[0] for values in found.columns[spec.name]]


def _features() -> list[Any]:
    from sluice.operator import registry

    return list(registry().features())


def test_photographs_are_what_they_are_taken_for(data_dir: Path) -> None:
    models = data_dir / "models"
    paths = {"model": str(models / CLASSIFIER), "labels": str(models / LABELS)}
    found = measured(data_dir, tflite_operators.image_imagenet_label, list(KNOWN), **paths)
    wrong = {
        name: label for name, label in zip(KNOWN, found, strict=True) if not label.startswith(KNOWN[name])
    }
    assert wrong == {}


def test_copies_are_near_and_unlike_pictures_far(data_dir: Path) -> None:
    model = str(data_dir / "models" / EXTRACTOR)
    vectors = dict(
        zip(NAMES, measured(data_dir, tflite_operators.image_mobilenet, NAMES, model=model), strict=True)
    )
    group = {name: k for k, names in enumerate([*SAME, *([u] for u in UNLIKE)]) for name in names}
    near = [float(vectors[a] @ vectors[b]) for a in NAMES for b in NAMES if a < b and group[a] == group[b]]
    far = [float(vectors[a] @ vectors[b]) for a in NAMES for b in NAMES if group[a] < group[b]]
    assert min(near) > 0.94
    assert max(far) < 0.7
    assert np.mean(far) < 0.5


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, str]:
    """An environment in which the operators are known as those of an installed package are."""
    info = tmp_path / "plugin" / "lite-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lite\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sluice.operators]\nlite = tflite_operators\n")
    places = [str(info.parent), str(Path(__file__).parent), *sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places)}


def test_a_run_drops_near_duplicates_by_that_model(
    data_dir: Path, tmp_path: Path, plugin: dict[str, str]
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for k, name in enumerate(NAMES):
        (source / f"{k:02d}{Path(name).suffix}").symlink_to(data_dir / "photos" / name)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"""
source: {{path: {source}}}
steps:
  - measure: [{{image_mobilenet: {{model: {data_dir / "models" / EXTRACTOR}}}}}]
  - dedup: {{by: image_mobilenet, similarity: 0.94, name: same scene}}
write: {{path: {tmp_path / "out"}}}
"""
    )
    command = [sys.executable, "-m", "sluice", "run", str(recipe), "--workers", "2", "--quiet", "--json"]
    done = subprocess.run(command, env=plugin, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    copies = sum(len(group) - 1 for group in SAME)
    assert (summary["read"], summary["kept"]) == (len(NAMES), len(SAME) + len(UNLIKE))
    assert summary["duplicate"] == summary["by_rule"]["same scene"] == copies
    rows = pq.read_table(tmp_path / "out" / "selection.parquet").to_pylist()
    kept = {NAMES[int(row["key"])] for row in rows if row["fate"] == "kept"}
    assert [len(kept.intersection(group)) for group in SAME] == [1] * len(SAME)
    assert kept.issuperset(UNLIKE)
