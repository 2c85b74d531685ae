"""The sizes of the small models, and how they are trained, under names; nothing here needs PyTorch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from sluice.sandbox.proxy.captioned import Form

PresetName = Literal["smoke", "small"]
"""`smoke` trains in seconds on one core, on shapes; `small` is for real data, in minutes on a GPU."""


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


IMAGE_TEXT: dict[PresetName, Preset[ImageTextShape]] = {
    "smoke": Preset(
        ImageTextShape(
            Form(side_px=24, frames=0, length=14, vocabulary=600), 48, heads=4, layers=1, channels=16
        ),
        Plan(steps=60, batch_size=64, learning_rate=3e-3),
    ),
    "small": Preset(
        ImageTextShape(
            Form(side_px=64, frames=0, length=48, vocabulary=8192), 192, heads=6, layers=3, channels=64
        ),
        Plan(steps=3000, batch_size=128, learning_rate=1e-3),
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
            Form(side_px=32, frames=8, length=48, vocabulary=8192),
            256,
            heads=8,
            layers=8,
            patch_frames=2,
            patch_px=4,
        ),
        Plan(steps=20_000, batch_size=64, learning_rate=5e-4),
    ),
}
