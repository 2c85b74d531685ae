"""What samples cost a trained proxy: planted faults cost more, and what cannot be shown has no value."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from sluice.errors import TrialError, UsageError
from sluice.recipe.load import loads
from sluice.run import run
from sluice.sandbox.proxy.planted import Planted, write_planted
from sluice.sandbox.proxy.sample_losses import sample_losses
from sluice.sandbox.registry import registry
from sluice.sandbox.train.protocol import Trainer
from sluice.sandbox.workflow.config import read_workflow
from sluice.sandbox.workflow.runner import run_workflow

RECIPE = """
source: {path: in}
steps:
  - measure: [{sample_metadata_number: {field: caption_agreement}}]
"""


def trained(data: Path, output: Path, kind: str, steps: int) -> Path:
    output.mkdir()
    made = registry().get("trainer", kind).make({"preset": "smoke", "device": "cpu", "steps": steps})
    assert isinstance(made, Trainer)
    return made.train(data, output, seed=0, log=output / "log.txt").model


@pytest.mark.slow
def test_shuffled_captions_cost_the_proxy_more(tmp_path: Path) -> None:
    write_planted(tmp_path / "clean", Planted(600, seed=3))
    model = trained(tmp_path / "clean", tmp_path / "model", "image_text", 120)
    write_planted(tmp_path / "in", Planted(60, captions_shuffled=0.5, seed=5))
    (tmp_path / "in" / "99999.png").write_bytes((tmp_path / "in" / "00000.png").read_bytes())
    run(loads(RECIPE, source=str(tmp_path / "in")), output=str(tmp_path / "run"), workers=0, quiet=True)
    workflow = {
        "probe": [{"hook": "pools", "settings": {"run": str(tmp_path / "run")}}],
        "evaluate": [{"hook": "evaluate_data", "settings": {"proxy_loss": {"model": str(model)}}}],
    }
    board = run_workflow(read_workflow(yaml.safe_dump(workflow), "w.yaml"), tmp_path / "experiment").results
    judged = {row["id"]: row for row in board["judged"].to_pylist()}
    keys = {r["id"]: r["key"] for r in _selection(tmp_path / "run")}
    parts = {p.stem: json.loads(p.read_text())["part"] for p in (tmp_path / "in").glob("*.json")}
    lost = {
        part: [r["value"] for i, r in judged.items() if parts.get(keys[i]) == part] for part in parts.values()
    }
    assert np.mean(lost["shuffled"]) > 1.1 * np.mean(lost["clean"])
    (missing,) = [row for row in judged.values() if row["value"] is None]
    assert missing["reason"].startswith("no caption")
    (row,) = board["data_scores"].to_pylist()
    assert (row["arm"], row["metric"], row["samples"], row["missing"]) == ("control", "proxy_loss", 60, 1)
    assert row["low"] < row["mean"] < row["high"]


def _selection(output: Path) -> list[dict[str, str]]:
    import pyarrow.parquet as pq

    table = pq.read_table(output / "selection.parquet", columns=["id", "key"])
    return [{"id": str(r["id"]), "key": r["key"]} for r in table.to_pylist()]


def test_videos_cost_the_same_each_time(tmp_path: Path) -> None:
    write_planted(tmp_path / "in", Planted(12, frames=8, seed=4))
    model = trained(tmp_path / "in", tmp_path / "model", "text_to_video", 2)
    found = sample_losses(model, tmp_path / "in", device="cpu")
    assert found == sample_losses(model, tmp_path / "in", device="cpu")
    assert len(found) == 12
    assert all(value > 0 for value in found.values())


def test_without_a_proxy_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match="none of our models"):
        sample_losses(tmp_path, tmp_path, device="cpu")
    write_planted(tmp_path / "in", Planted(6))
    run(loads(RECIPE, source=str(tmp_path / "in")), output=str(tmp_path / "run"), workers=0, quiet=True)
    workflow = {
        "probe": [{"hook": "pools", "settings": {"run": str(tmp_path / "run")}}],
        "evaluate": [{"hook": "evaluate_data", "settings": {"proxy_loss": {}}}],
    }
    with pytest.raises(UsageError, match="no trained proxy"):
        run_workflow(read_workflow(yaml.safe_dump(workflow), "w.yaml"), tmp_path / "experiment")
