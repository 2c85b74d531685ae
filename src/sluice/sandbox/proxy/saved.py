"""Trained small models on disk: their weights, and the sizes that they were made with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sluice.errors import TrialError

_WEIGHTS, _ABOUT = "model.pt", "model.json"


def save(
    model: nn.Module, kind: str, shape: dict[str, Any], folder: Path, lexicon: Mapping[int, str]
) -> None:
    """Keep a model's weights and sizes, and the words it knows by their numbers; the weights appear whole, last."""
    about = {"kind": kind, "shape": shape, "lexicon": dict(lexicon)}
    (folder / _ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")
    writing = folder / f"{_WEIGHTS}.writing"
    torch.save(model.state_dict(), writing)
    writing.replace(folder / _WEIGHTS)


def shape_of(folder: Path, kind: str) -> dict[str, Any]:
    """The sizes that `save` noted; `TrialError` where there is no model, or one of another kind."""
    found, shape = kind_and_shape(folder)
    if found != kind:
        what = f"this is {found}, not {kind}"
        raise TrialError("no result: another kind of model", what, where=str(folder))
    return shape


def lexicon_of(folder: Path) -> dict[int, str]:
    """The words that a model in a folder was trained on, by their numbers; none of a model kept without them."""
    known = json.loads((folder / _ABOUT).read_bytes()).get("lexicon", {})
    return {int(number): word for number, word in known.items()}


def kind_and_shape(folder: Path) -> tuple[str, dict[str, Any]]:
    """What kind of model lies there, and its sizes; `TrialError` where there is none of ours."""
    try:
        about = json.loads((folder / _ABOUT).read_bytes())
        return str(about["kind"]), dict(about["shape"])
    except (OSError, ValueError, KeyError) as error:
        what = f"there is none of our models here: {error}"
        raise TrialError("no result: there is no model", what, where=str(folder)) from None


def load_weights(model: nn.Module, folder: Path, device: str) -> None:
    """Give the model its trained weights, on the device, ready to be asked."""
    try:
        state = torch.load(folder / _WEIGHTS, map_location="cpu", weights_only=True)
        model.load_state_dict(state)
    except (OSError, RuntimeError) as error:
        raise TrialError("no result: the model cannot be read", str(error), where=str(folder)) from error
    model.to(device).eval()
