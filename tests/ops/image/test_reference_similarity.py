"""Similarity to a reference set, by small models on photographs: what it equals, and what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sluice.errors import PlanError
from sluice.operator import Instance, Program, registry
from sluice.recipe.load import loads
from sluice.run import run
from sluice.sample import Item, Media, Sample

Tiny = Callable[[str], str]
NAMES = ("data-juicer__cat.jpg", "Pillow__hopper.webp", "scikit-image__coins.png")


@pytest.fixture
def photos(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three photographs; what is remembered of it goes to a folder of the test."""
    monkeypatch.setenv("SLUICE_MODELS", str(tmp_path / "models"))
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for name, place in zip(NAMES, (folder, folder, folder / "below"), strict=True):
        shutil.copy(data_dir / "photos" / name, place / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def _samples(folder: Path) -> list[Sample]:
    paths = sorted(p for p in folder.rglob("*.*") if p.suffix != ".txt")
    return [
        Sample(p.name, p.name, (Item("image", name=p.name, media=Media(data=p.read_bytes())),)) for p in paths
    ]


def _bound(tiny_model: Tiny, path: Path, **settings: Any) -> Instance:
    model = {"model": tiny_model("clip")}
    return registry().bind("image_reference_similarity", {"reference": str(path), **model, **settings})


def _values(instance: Instance, samples: list[Sample]) -> list[Any]:
    return [each[0] for each in Program([instance])(samples).columns[instance.made[0]]]


def _embeddings(tiny_model: Tiny, samples: list[Sample]) -> np.ndarray:
    instance = registry().bind("clip_embedding", with_={"clip": {"model": tiny_model("clip")}})
    return np.array(_values(instance, samples))


def test_a_folder_of_pictures_gives_what_their_embeddings_give(
    tiny_model: Tiny, photos: Path, tmp_path: Path
) -> None:
    samples = _samples(photos)
    vectors = _embeddings(tiny_model, samples)
    kept = [k for k, sample in enumerate(samples) if sample.key != NAMES[2]]
    (photos / "below" / NAMES[2]).unlink()
    np.save(tmp_path / "vectors.npy", vectors[kept])
    for against in ("nearest", "mean"):
        of_folder = _values(_bound(tiny_model, photos, against=against), samples)
        of_file = _values(_bound(tiny_model, tmp_path / "vectors.npy", against=against), samples)
        assert of_folder == pytest.approx(of_file, abs=1e-6)
    cosines = vectors.astype(np.float64) @ vectors[kept].astype(np.float64).T
    assert _values(_bound(tiny_model, photos), samples) == pytest.approx(cosines.max(axis=1), abs=1e-6)
    assert [v > 1 - 1e-6 for v in _values(_bound(tiny_model, photos), samples)] == [
        k in kept for k in range(3)
    ]


def test_pictures_are_embedded_once_and_again_when_they_or_the_model_change(
    tiny_model: Tiny, photos: Path, tmp_path: Path
) -> None:
    remembered = tmp_path / "models" / ".references"
    samples = _samples(photos)[:1]
    first = _values(_bound(tiny_model, photos), samples)
    (file,) = remembered.iterdir()
    np.save(file, -np.load(file))  # what is read from now on, if it is remembered
    assert _values(_bound(tiny_model, photos), samples)[0] < 1 <= first[0] + 1e-6
    other = tmp_path / "other"
    shutil.copytree(photos, other)
    (other / NAMES[0]).unlink()
    _values(_bound(tiny_model, other), samples)
    _values(_bound(tiny_model, photos, model=tiny_model("siglip")), samples)
    assert len(list(remembered.iterdir())) == 3


def test_fingerprints_follow_what_the_reference_holds(tiny_model: Tiny, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(3, 768))
    for name, values in (("a", rows), ("same", rows), ("other", rows[:2])):
        np.save(tmp_path / f"{name}.npy", values)
    prints = {n: _bound(tiny_model, tmp_path / f"{n}.npy").fingerprint for n in ("a", "same", "other")}
    assert prints["a"] == prints["same"] != prints["other"]
    assert _bound(tiny_model, tmp_path / "a.npy", against="mean").fingerprint != prints["a"]


def test_a_reference_by_another_model_fails_the_sample_with_the_sizes(tiny_model: Tiny, photos: Path) -> None:
    np.save(photos.parent / "small.npy", np.eye(4))
    measured = Program([_bound(tiny_model, photos.parent / "small.npy")])(_samples(photos)[:1])
    (note,) = measured.notes[0]
    assert note.kind == "error"
    assert "holds 4 numbers each, the embedding has 768" in note.detail


def test_a_picture_of_the_reference_that_is_broken_is_named(tiny_model: Tiny, photos: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"words")
    with pytest.raises(PlanError, match=r"broken\.jpg: .*not an image"):
        Program([_bound(tiny_model, photos)]).open()


def test_embeddings_written_by_a_run_are_a_reference_for_the_next(
    tiny_model: Tiny, photos: Path, tmp_path: Path
) -> None:
    steps = f"  - measure: {{clip_embedding: {{with: {{clip: {{model: '{tiny_model('clip')}'}}}}}}}}\n"
    write = "write: {path: out, format: parquet, embeddings: float32}\n"
    recipe = loads(f"source: in\nsteps:\n{steps}{write}", source=str(photos))
    summary = run(recipe, workers=0, quiet=True, output=str(tmp_path / "out"))
    (kept,) = Path(summary["table"]).glob("vectors-*.parquet")
    (written,) = (tmp_path / "out").glob("00000*.parquet")
    for vectors in (kept, written):
        values = _values(_bound(tiny_model, vectors), _samples(photos))
        assert values == pytest.approx([1, 1, 1], abs=1e-6)


def test_texts_are_compared_likewise(tiny_model: Tiny, tmp_path: Path) -> None:
    texts = ["a cat sits on the grass", "two dogs", ""]
    samples = [Sample(t, t, (Item("text", text=t),)) for t in texts]
    model = {"text_embedding": {"model": tiny_model("sentences")}}
    plain = registry().bind("text_embedding", model["text_embedding"])
    vectors = [each[0] for each in Program([plain])(samples).columns["text_embedding"]]
    np.save(tmp_path / "a.npy", np.array(vectors[:1]))
    bound = registry().bind("text_reference_similarity", {"reference": str(tmp_path / "a.npy")}, with_=model)
    found = _values(bound, samples)
    assert found[:2] == pytest.approx([1, float(vectors[0] @ vectors[1])], abs=1e-6)
    assert found[2] is None
