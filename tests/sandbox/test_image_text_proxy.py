"""The built-in model of pictures and captions, as a trainer and an evaluator."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sluice.errors import TrialError
from sluice.sandbox.chosen import Chosen
from sluice.sandbox.proxy.captioned import read_captioned
from sluice.sandbox.proxy.planted import Planted, write_planted
from sluice.sandbox.proxy.presets import IMAGE_TEXT
from sluice.sandbox.registry import registry
from sluice.sandbox.train.exported import Exported
from sluice.sandbox.train.protocol import Evaluator, Trained, Trainer

FORM = IMAGE_TEXT["smoke"].shape.form


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    write_planted(folder / "train", Planted(120, seed=1))
    write_planted(folder / "held-out", Planted(40, seed=2))
    return folder


def train(data: Path, output: Path, seed: int = 0, **settings: Any) -> Trained:
    output.mkdir()
    given = {"preset": "smoke", "device": "cpu", **settings}
    made = Chosen(registry().get("trainer", "image_text"), given).make()
    assert isinstance(made, Trainer)
    return made.train(data, output, seed=seed, log=output / "log.txt")


def scores(model: Path, held_out: Path | None) -> dict[str, float]:
    made = registry().get("evaluator", "image_text").make({"device": "cpu"})
    assert isinstance(made, Evaluator)
    found = made.evaluate(model, held_out, model, seed=0, log=model / "log.txt")
    assert found.keys() == made.metrics.keys()
    assert all(np.isfinite(value) for value in found.values())
    return dict(found)


def test_it_learns_and_learns_the_same_again(shapes: Path, tmp_path: Path) -> None:
    untaught = scores(train(shapes / "train", tmp_path / "untaught", steps=1).model, shapes / "held-out")
    first = train(shapes / "train", tmp_path / "first", steps=30)
    again = train(shapes / "train", tmp_path / "again", steps=30, timeout_s=120)  # in a process of its own
    taught = scores(first.model, shapes / "held-out")

    assert (first.model / "model.pt").read_bytes() == (again.model / "model.pt").read_bytes()
    assert taught == scores(again.model, shapes / "held-out")
    assert taught["caption_perplexity"] < 40 < 400 < untaught["caption_perplexity"]
    assert taught["image_to_text_recall_at_5"] > untaught["image_to_text_recall_at_5"]
    assert (first.samples_seen, first.diverged) == (30 * 64, None)
    assert (first.model / "log.txt").read_text().startswith("120 samples\nstep 20 of 30: loss")


def test_a_rate_far_too_high_is_told_as_divergence(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(TrialError) as caught:
        train(shapes / "train", tmp_path / "model", steps=100, batch_size=8, learning_rate=50.0)
    assert caught.value.reason.startswith("diverged: loss ")


def put(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def test_what_an_export_lacks_is_counted(shapes: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        for key in ("00000", "00001", "00002"):
            picture = (shapes / "train" / f"{key}.png").read_bytes()
            put(tar, f"{key}.png", picture[:100] if key == "00001" else picture)
            put(tar, f"{key}.txt", b" " if key == "00002" else b"a red ring")
    Exported(tmp_path, "webdataset", tmp_path, tmp_path, 3, {}, 1).write()

    found = read_captioned(tmp_path, FORM)

    assert len(found) == 1
    assert found.pixels.shape == (1, 1, 24, 24, 3)
    assert sum(found.failed.values()) == 2
    assert found.failed["no caption"] == 1
    with pytest.raises(TrialError) as caught:
        read_captioned(tmp_path, FORM, least=2)
    assert caught.value.reason == "no result: too few samples"
    assert "1 × no caption" in caught.value.what


def test_what_is_no_model_is_a_failed_trial(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(TrialError) as caught:
        scores(tmp_path, shapes / "held-out")
    assert caught.value.reason == "no result: there is no model"
    (tmp_path / "model.json").write_text(json.dumps({"kind": "text_to_video", "shape": {}}))
    with pytest.raises(TrialError) as caught:
        scores(tmp_path, shapes / "held-out")
    assert caught.value.reason == "no result: another kind of model"
    with pytest.raises(TrialError) as caught:
        scores(tmp_path, None)
    assert caught.value.reason == "no result: no held-out set"
