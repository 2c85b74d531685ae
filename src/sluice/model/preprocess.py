"""Turns a picture into what a model was trained to see, as the model's own preprocessor file says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sluice.errors import Declined
from sluice.model.pretrained import PREPROCESSOR, damaged, quiet, require, transformers_module

_LONGEST = 16
"""Times its width that a picture may be long to be resized whole."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Preprocess:
    """A preprocessor of transformers' usual kind: resize, crop the centre, rescale, normalise.

    `size` is (height, width), or one number for the shorter side; `crop` (height, width) is cut from the middle
    of it. What comes out is still 8-bit; `on` gives the float part, which runs where the model runs.
    """

    size: Size | int
    crop: Size | None
    resample: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [3, height, width] of uint8 RGB [H, W, 3], by Pillow, equal to transformers' PIL processors.

        Of a picture more than 16 times as long as it is wide only the part that is kept is made (the strip of
        1 x 10,000 pixels would be enlarged to 500 million); Pillow holds its place in single precision, so that
        pixels there can differ.
        """
        resized = self._resized(*rgb.shape[:2])
        height, width = self.crop or resized
        top, left = (resized[0] - height) // 2, (resized[1] - width) // 2
        picture, how = Image.fromarray(rgb), Image.Resampling(self.resample)
        if max(resized) <= _LONGEST * min(resized):
            shown = np.asarray(picture.resize((resized[1], resized[0]), how))
            shown = shown[top : top + height, left : left + width]
        else:
            across, down = rgb.shape[1] / resized[1], rgb.shape[0] / resized[0]
            box = (left * across, top * down, (left + width) * across, (top + height) * down)
            shown = np.asarray(picture.resize((width, height), how, box=box))
        return np.ascontiguousarray(shown.transpose(2, 0, 1))

    def _resized(self, height: int, width: int) -> Size:
        if not isinstance(self.size, int):
            return self.size
        # transformers' rounding: the longer side down.
        if width <= height:
            return int(self.size * height / width), self.size
        return self.size, int(self.size * width / height)

    def on(self, pixels: Any) -> Any:
        """float32 of a uint8 tensor [batch, 3, H, W]: rescaled in double precision, as transformers does."""
        torch = _torch_of(pixels)
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=pixels.device).view(-1, 1, 1)
            for values in (self.mean, self.std)
        )
        return ((pixels.to(torch.float64) * self.scale).to(torch.float32) - mean) / std


@dataclass(frozen=True)
class Foreign:
    """A preprocessor of any other kind, run as it is; what comes out is float32 and needs no more."""

    processor: Any

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """float32 [3, height, width] of uint8 RGB [H, W, 3]."""
        height, width = rgb.shape[:2]
        if max(height, width) > _LONGEST * min(height, width):
            raise Declined(
                "too narrow", f"{width} x {height} pixels, which this model's preprocessor blows up"
            )
        found = self.processor(Image.fromarray(rgb), return_tensors="np")["pixel_values"][0]
        return np.ascontiguousarray(found, dtype=np.float32)

    def on(self, pixels: Any) -> Any:
        """The tensor as it is."""
        return pixels


@cache
def preprocess(folder: str) -> Preprocess | Foreign:
    """The preprocessor of the model in a folder; MissingError where its file is not there, or damaged."""
    require(folder, PREPROCESSOR)
    transformers = transformers_module()
    try:
        with quiet():
            processor = transformers.AutoImageProcessor.from_pretrained(
                folder, local_files_only=True, backend="pil"
            )
    except Exception as error:  # whatever a damaged file makes the library raise is one finding for the user
        raise damaged(folder, "image processor", error) from error
    return _usual(processor) or Foreign(processor)


def _usual(processor: Any) -> Preprocess | None:
    """The processor as `Preprocess`, if it does just that."""
    size = _size(processor.size)
    crop = _size(processor.crop_size) if processor.do_center_crop else None
    if not _has_usual_steps(processor) or size is None or isinstance(crop, int):
        return None
    whole = (size, size) if isinstance(size, int) else size
    if crop is not None and (crop[0] > whole[0] or crop[1] > whole[1]):
        return None  # would be filled up with black
    return Preprocess(
        size=size,
        crop=crop,
        resample=int(processor.resample),
        scale=float(processor.rescale_factor),
        mean=tuple(processor.image_mean),
        std=tuple(processor.image_std),
    )


def _has_usual_steps(processor: Any) -> bool:
    from transformers.image_processing_backends import PilBackend

    names = ("preprocess", "_preprocess", "process_image", "resize", "center_crop", "rescale", "normalize")
    own = (getattr(type(processor), name, None) is getattr(PilBackend, name) for name in names)
    asked = (processor.do_resize, processor.do_rescale, processor.do_normalize)
    return all(own) and all(asked) and processor.do_convert_rgb is not False and not processor.do_pad


def _size(given: Any) -> Size | int | None:
    """(height, width), or the shorter side alone; None for any other rule."""
    rule = {name: value for name, value in dict(given).items() if value}
    if set(rule) == {"height", "width"}:
        return int(rule["height"]), int(rule["width"])
    return int(rule["shortest_edge"]) if set(rule) == {"shortest_edge"} else None


def _torch_of(tensor: Any) -> Any:
    import torch

    return torch
