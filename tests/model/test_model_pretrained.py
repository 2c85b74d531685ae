"""A model is loaded whole or not at all: nothing that is missing is filled with random numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sluice.errors import MissingError
from sluice.model.pretrained import config, pretrained, tokenizer

Tiny = Callable[[str], str]


@pytest.fixture
def copy(tiny_model: Tiny, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model("classifier"), tmp_path / "copy"))


def _load(folder: Path, kind: str = "AutoModelForImageClassification") -> object:
    return pretrained(kind, str(folder), "cpu", torch.float32)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(MissingError, match=f"it has no {name}") as caught:
        _load(copy)
    assert caught.value.exit_code == 3
    assert str(copy) in str(caught.value)


def test_a_missing_tokenizer_is_named(tiny_model: Tiny) -> None:
    with pytest.raises(MissingError, match=r"it has no tokenizer\.json"):
        tokenizer(tiny_model("classifier"))


def test_a_missing_weight_is_named(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MissingError, match=r"do not hold all weights of .*: classifier\.weight"):
        _load(copy)


def test_a_weight_of_another_shape_is_refused(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["classifier.bias"] = torch.zeros(7)
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MissingError, match=r"do not hold all weights of .*: classifier\.bias"):
        _load(copy)


def test_a_model_of_another_kind_is_refused(tiny_model: Tiny) -> None:
    with pytest.raises(MissingError, match="AutoModelForImageClassification"):
        _load(Path(tiny_model("t5")))


def test_weights_cut_short_are_refused(copy: Path) -> None:
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MissingError, match="cannot be loaded"):
        _load(copy)


def test_a_damaged_configuration_is_refused(copy: Path) -> None:
    (copy / "config.json").write_text("{")
    with pytest.raises(MissingError, match="damaged"):
        config(str(copy))
    with pytest.raises(MissingError, match="cannot be loaded"):
        _load(copy)


def test_pickled_weights_that_would_run_code_are_refused(copy: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    (copy / "model.safetensors").unlink()
    torch.save({"classifier.weight": Bomb()}, copy / "pytorch_model.bin")
    with pytest.raises(MissingError, match="cannot be loaded"):
        _load(copy)
    assert not (tmp_path / "ran").exists()


def test_loading_says_nothing(tiny_model: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _load(Path(shutil.copytree(tiny_model("classifier"), tmp_path / "again")))
    assert capfd.readouterr() == ("", "")
