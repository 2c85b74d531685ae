"""The sizes of the small models, and how they are trained, under names; nothing here needs PyTorch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from sluice.sandbox.proxy.captioned import Form

PresetName = Literal["smoke", "small"]
"""`smoke` trains in seconds on one core, on shapes; `small` in a quarter of an hour there, on data of any kind."""


@dataclass(frozen=True)
class Plan:
    """How long and how fast: AdamW (Loshchilov and Hutter 2019) with its usual betas and a clipped gradient norm of 1.

    The rate rises in a line over the first tenth of the steps and falls to 0 by a cosine. `checkpoint_steps`: how
    often the state is kept.
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    checkpoint_steps: int = 200

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm = max(1, self.steps // 10)
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (self.steps - warm)))


@dataclass(frozen=True)
class ImageTextShape:
    """The sizes of `ImageText`; `width` is that of captions, of pictures' parts and of the vectors compared."""

    form: Form
    width: int
    heads: int
    layers: int
    channels: int


@dataclass(frozen=True)
class VideoShape:
    """The sizes of `TextToVideo`; a patch is `patch_frames` of `patch_px` squares, seen as one."""

    form: Form
    width: int
    heads: int
    layers: int
    patch_frames: int
    patch_px: int


Shape = TypeVar("Shape")


@dataclass(frozen=True)
class Preset(Generic[Shape]):
    """A model's sizes with how it is trained."""

    shape: Shape
    plan: Plan

    def given(self, steps: int | None, batch_size: int | None, learning_rate: float | None) -> Preset[Shape]:
        """The same with what is not None in place of its own."""
        plan = replace(
            self.plan,
            steps=steps or self.plan.steps,
            batch_size=batch_size or self.plan.batch_size,
            learning_rate=learning_rate or self.plan.learning_rate,
        )
        return replace(self, plan=plan)


# With 600 numbers, none of the words of captioned shapes share one.
IMAGE_TEXT: dict[PresetName, Preset[ImageTextShape]] = {
    "smoke": Preset(
        ImageTextShape(
            Form(side_px=24, frames=0, length=14, vocabulary=600), 48, heads=4, layers=1, channels=16
        ),
        Plan(steps=60, batch_size=64, learning_rate=3e-3),
    ),
    "small": Preset(
        ImageTextShape(
            Form(side_px=32, frames=0, length=32, vocabulary=4096), 96, heads=4, layers=2, channels=32
        ),
        Plan(steps=1000, batch_size=64, learning_rate=1e-3),
    ),
}

TEXT_TO_VIDEO: dict[PresetName, Preset[VideoShape]] = {
    "smoke": Preset(
        VideoShape(
            Form(side_px=16, frames=8, length=14, vocabulary=600),
            64,
            heads=4,
            layers=2,
            patch_frames=4,
            patch_px=4,
        ),
        Plan(steps=100, batch_size=32, learning_rate=4e-3),
    ),
    "small": Preset(
        VideoShape(
            Form(side_px=32, frames=8, length=32, vocabulary=4096),
            128,
            heads=4,
            layers=4,
            patch_frames=4,
            patch_px=4,
        ),
        Plan(steps=1000, batch_size=32, learning_rate=1e-3),
    ),
}
