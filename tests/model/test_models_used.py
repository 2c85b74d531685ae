"""Every learned score tells its model: in the lock, beside the shards, and in the plan before anything runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

import tiny_models
from sluice.cli import main
from sluice.model import files

RECIPE = """
source: in
steps:
  - keep: image_width_px >= 40
  - measure: [{{clip_embedding: {{with: {{clip: {{model: {model}}}}}}}}}]
  - keep: image_height_px >= 1
write: {{path: out, embeddings: float32}}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny CLIP."""
    return tiny_models.clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def folder(tmp_path: Path, data_dir: Path) -> Path:
    """A folder with some real photographs in `in`."""
    (tmp_path / "in").mkdir()
    photos = sorted(p for p in (data_dir / "photos").iterdir() if p.suffix == ".jpg")
    for photo in sorted(photos, key=lambda p: p.stat().st_size)[:5]:
        (tmp_path / "in" / photo.name).symlink_to(photo)
    return tmp_path


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


Sluice = Callable[..., Ran]


@pytest.fixture
def sluice(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sluice:
    """Runs commands in the folder, in this process, with no models but those in `models`."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SLUICE_MODELS", str(folder / "models"))
    monkeypatch.setenv("HF_HOME", str(folder / "hf"))

    def ran(*words: str) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        said = capfd.readouterr()
        return Ran(ended.value.code or 0, said.out, said.err)  # type: ignore[arg-type]

    return ran


def recipe(folder: Path, model: str) -> str:
    (folder / "recipe.yaml").write_text(RECIPE.format(model=json.dumps(model)))
    return "recipe.yaml"


def learned(lock: dict[str, Any]) -> dict[str, Any]:
    return {c["column"]: c["models"] for c in lock["columns"] if c["models"]}


def test_a_learned_column_tells_its_model_in_the_lock_and_beside_the_shards(
    sluice: Sluice, folder: Path, model: str
) -> None:
    done = sluice("run", recipe(folder, model), "--quiet", "--json", "--workers", "1")
    assert done.code == 0, done.err
    lock = yaml.safe_load((folder / "out/_sluice/lock.yaml").read_text())
    assert list(learned(lock)) == ["clip_embedding"]
    facts = learned(lock)["clip_embedding"][model]
    assert facts["digest"] == files.digest(model)
    assert (facts["dtype"], facts["device"]) == ("float32", "cpu")
    assert json.loads(facts["preprocessing"])["crop_size"] == {"height": 32, "width": 32}

    schema = pq.read_schema(folder / "out/00000.parquet")
    told = schema.field("clip_embedding").metadata
    assert json.loads(told[b"sluice.models"]) == learned(lock)["clip_embedding"]
    assert schema.field("image_width_px").metadata is None
    assert json.loads(done.out)["kept"] == 5


def test_a_run_without_its_model_ends_with_3_the_command_and_the_places(sluice: Sluice, folder: Path) -> None:
    name = "openai/clip-vit-base-patch32"
    done = sluice("run", recipe(folder, name), "--quiet", "--workers", "0")
    assert done.code == 3
    assert f"sluice models fetch {name}" in done.err
    assert str(folder / "models" / name) in done.err
    assert not (folder / "out").exists()
    as_json = sluice("run", recipe(folder, name), "--json", "--workers", "0")
    assert as_json.code == 3
    assert json.loads(as_json.out)["exit_code"] == 3


def test_a_plan_names_models_found_or_not_and_where_it_looked(
    sluice: Sluice, folder: Path, model: str
) -> None:
    name = "openai/clip-vit-base-patch32"
    done = sluice("plan", recipe(folder, name), "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    (found,) = document["models"]
    assert found["name"] == name
    assert found["path"] is None
    assert str(folder / "models" / name) in found["looked_at"]
    assert f"sluice models fetch {name}" in found["fix"]
    assert [m["what"] for m in document["missing"]] == [f"the model {name!r} is not on this machine"]
    operators = {o["operator"]: o for p in document["passes"] for o in p["operators"]}
    assert operators["clip_embedding"]["units_to_compute"] == document["units"]
    people = sluice("plan", "recipe.yaml")
    assert "not on this machine" in people.out
    assert f"sluice models fetch {name}" in people.out
    assert sluice("plan", "recipe.yaml", "--probe", "3", "--workers", "0").code == 3

    document = json.loads(sluice("plan", recipe(folder, model), "--json").out)
    assert document["models"][0]["path"] == model
    assert document["missing"] == []


def test_a_plan_knows_that_a_package_carries_a_model(sluice: Sluice, folder: Path) -> None:
    (folder / "recipe.yaml").write_text("source: in\nsteps: [{keep: text_language = 'en'}]\nwrite: out\n")
    document = json.loads(sluice("plan", "recipe.yaml", "--json").out)
    (found,) = document["models"]
    assert (found["name"], found["path"], found["fix"]) == ("py3langid", "in a Python package", None)
    assert document["missing"] == []


def test_a_plan_that_lacked_a_model_leaves_nothing_known(sluice: Sluice, folder: Path, model: str) -> None:
    name = "acme/tiny"
    assert sluice("plan", recipe(folder, name)).code == 0
    assert not (folder / "sluice-store").exists()
    shutil.copytree(model, folder / "models" / name)
    assert sluice("run", "recipe.yaml", "--quiet", "--workers", "0").code == 0


def test_a_damaged_model_is_refused_before_anything_runs(sluice: Sluice, folder: Path, model: str) -> None:
    shutil.copytree(model, folder / "broken")
    weights = folder / "broken/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    done = sluice("run", recipe(folder, str(folder / "broken")), "--quiet", "--workers", "0")
    assert done.code == 3
    assert "is not whole: model.safetensors has" in done.err
