"""Which class does an image classifier of one's own see in an image?"""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray
from pydantic import Field as Setting

from sluice.errors import Declined, MissingError, PlanError
from sluice.model.files import Weights
from sluice.model.onnx import Layout, OnnxDevice, OnnxModel
from sluice.model.preprocess import Preprocess
from sluice.operator import Field, measure
from sluice.operator.spec import Contents
from sluice.ops.image.pixels import LIBRARIES, Rgb

_USUAL_SIZE_PX = 224
_RESAMPLE = {"bilinear": 2, "bicubic": 3}
"""Pillow's numbers."""
_NUMBERED = re.compile(r"\s*(\d+)[\s:,]+(.*)")
_ROUNDING = 1e-3

Scores = NDArray[np.float64]


def read_labels(labels: str | list[str] | None) -> list[str]:
    """The labels that a setting gives: a list; or a file of one a line, or of JSON (a list, or a map by number).

    Numbers before the names (`12  cat`) are left out where every line has its own. MissingError without a file,
    PlanError for one that cannot be read so.
    """
    if not isinstance(labels, str):
        return list(labels or ())
    path = Path(labels).expanduser()
    if not path.is_file():
        raise MissingError(f"there is no file of labels {labels!r}", fix="give its path, or the list itself")
    try:
        return _parsed(path.read_text(encoding="utf-8-sig"))
    except (ValueError, KeyError, TypeError) as error:
        raise PlanError(
            f"not a file of labels: {error}", where=labels, fix="one label a line, or a JSON list"
        ) from error


def _parsed(text: str) -> list[str]:
    if text.lstrip().startswith(("[", "{")):
        found = json.loads(text)
        return (
            [str(found[str(k)]) for k in range(len(found))] if isinstance(found, dict) else [*map(str, found)]
        )
    lines = text.splitlines()
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if all(match and int(match[1]) == k for k, match in enumerate(numbered)):
        return [match[2] for match in numbered if match]
    return [line.strip() for line in lines]


def _digest(labels: str | list[str] | None) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(read_labels(labels)).encode())


Channel = Annotated[list[float], Setting(min_length=3, max_length=3)]


class Classified(NamedTuple):
    """What is stored of one picture."""

    probability: Annotated[float, Field(unit="probability", ge=0, le=1, higher_is="more likely")]
    top_label: Annotated[str, Field()]


@measure(version=1, cost="model", libraries=(*LIBRARIES, "onnxruntime"))
class image_onnx_classifier:  # noqa: N801 - an operator's name is its class's
    """The probability of one class, and the label of the likeliest, by any image classifier in ONNX.

    `model` is an ONNX file (or a folder with one) that takes one picture of three channels and gives one score a
    class; `label` the class asked for, by its number from 0 or its name (upper and lower case alike). `labels`
    names the classes: a list, or a file with one a line or JSON (a list, or a map by number); without it they
    are called by their numbers. `activation` turns scores into probabilities: `softmax`, `sigmoid` (classes
    apart), or `none` where the model has done so. `device` is where it runs.

    How the picture is made ready must be as in training; the defaults are torchvision's for ImageNet. `size_px`
    is the side of the square that the model sees (that of the file, else 224). `resize: crop` scales the shorter
    side to `size_px` / `crop_ratio` and cuts out the middle, `stretch` scales both sides; `interpolation` is
    Pillow's, with antialiasing. Values are (pixel / 255 - `mean`) / `std` in the order of `channels`; a model
    that takes 8-bit integers is given the pixels. `layout` is read from the file where it tells.

    Declined with `not a number` where the model gives one that is not finite.
    """

    def __init__(
        self,
        *,
        model: Weights,
        label: int | str,
        labels: Annotated[str | list[str] | None, Contents(_digest)] = None,
        activation: Literal["softmax", "sigmoid", "none"] = "softmax",
        size_px: Annotated[int | None, Setting(ge=1, le=4096)] = None,
        resize: Literal["crop", "stretch"] = "crop",
        crop_ratio: Annotated[float, Setting(ge=0.1, le=1)] = 0.875,
        interpolation: Literal["bilinear", "bicubic"] = "bilinear",
        mean: Channel = [0.485, 0.456, 0.406],  # noqa: B006 - never changed; settings are JSON's types
        std: Channel = [0.229, 0.224, 0.225],  # noqa: B006
        channels: Literal["rgb", "bgr"] = "rgb",
        layout: Layout | None = None,
        device: OnnxDevice = "cpu",
    ) -> None:
        self.model, self.label, self.labels, self.activation = model, label, labels, activation
        self.size_px, self.resize, self.crop_ratio, self.interpolation = (
            size_px,
            resize,
            crop_ratio,
            interpolation,
        )
        self.mean, self.std = np.array(mean, np.float32), np.array(std, np.float32)
        self.channels, self.layout, self.device = channels, layout, device

    def open(self) -> None:
        """Load the model and find the class among its labels."""
        self._network = OnnxModel(self.model, device=self.device)
        self._input = self._network.image_input(self.layout)
        self._preprocess = self._made_ready()
        names = read_labels(self.labels)
        classes = self._network(self._input.batch(self._values(np.zeros((8, 8, 3), np.uint8))))[0].size
        if names and len(names) != classes:
            raise self._network.unlike(
                f"{len(names)} classes, one a label, not {classes}", "give its own labels"
            )
        self._names = names or [str(k) for k in range(classes)]
        self._index = self._index_of(self.label)

    def __call__(self, rgb: Rgb) -> Classified:
        """What the model says of one picture."""
        scores = self._network(self._input.batch(self._values(rgb)))[0].astype(np.float64).ravel()
        if not np.isfinite(scores).all():
            raise Declined("not a number", "the model gives a score that is not finite")
        probabilities = self._probabilities(scores)
        return Classified(float(probabilities[self._index]), self._names[int(probabilities.argmax())])

    def _made_ready(self) -> Preprocess:
        own = (self._input.height_px, self._input.width_px)
        side = self.size_px or _USUAL_SIZE_PX
        size = (own[0] or side, own[1] or side)
        if self.size_px is not None and size != (side, side):
            raise self._network.unlike(
                f"pictures of {side} x {side}", "leave out `size_px`: the file fixes it"
            )
        crop = size if self.resize == "crop" else None
        scaled: Any = round(max(size) / self.crop_ratio) if crop else size
        return Preprocess(scaled, crop, _RESAMPLE[self.interpolation], 1.0, (), ())

    def _values(self, rgb: NDArray[np.uint8]) -> NDArray[Any]:
        """What the model sees, [H, W, 3]."""
        pixels = self._preprocess(rgb).transpose(1, 2, 0)
        if self.channels == "bgr":
            pixels = pixels[:, :, ::-1]
        if self._input.dtype is np.uint8:
            return pixels
        return (pixels.astype(np.float32) / 255 - self.mean) / self.std

    def _probabilities(self, scores: Scores) -> Scores:
        if self.activation == "softmax":
            powers = np.exp(scores - scores.max())
            return np.asarray(powers / powers.sum())
        if self.activation == "sigmoid":
            return np.asarray(0.5 * (1 + np.tanh(scores / 2)))
        if scores.min() < -_ROUNDING or scores.max() > 1 + _ROUNDING:
            raise ValueError(
                f"{scores.min():.3g} to {scores.max():.3g} are no probabilities: set `activation`"
            )
        return scores.clip(0, 1)

    def _index_of(self, label: int | str) -> int:
        if isinstance(label, int) and 0 <= label < len(self._names):
            return label
        folded = [name.casefold() for name in self._names]
        if str(label).casefold() in folded:
            return folded.index(str(label).casefold())
        near = difflib.get_close_matches(str(label), self._names, n=1)
        raise PlanError(
            f"the classifier has no class {label!r}",
            where=f"{len(self._names)} classes of {self.model}",
            fix=f"did you mean {near[0]!r}?" if near else f"give a number from 0 to {len(self._names) - 1}",
        )
