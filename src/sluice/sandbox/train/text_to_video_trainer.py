"""Trains the built-in model that makes videos of captions, in this process, on a CPU or a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from sluice.model.device import DeviceName, device_of
from sluice.sandbox.proxy.captioned import read_captioned
from sluice.sandbox.proxy.presets import TEXT_TO_VIDEO, PresetName
from sluice.sandbox.registry import trainer
from sluice.sandbox.train.apart import TimeoutS
from sluice.sandbox.train.protocol import DataFormat, Trained


@trainer
class text_to_video:  # noqa: N801 - its name in a workflow
    """A small diffusion transformer in pixels, from scratch (a DiT, Peebles and Xie 2023, by flow matching).

    `preset` is `smoke` (8 frames of 16 px, 8 CPU-seconds) or `small` (8 frames of 32 px, 16 CPU-minutes); `steps`,
    `batch_size` and `learning_rate` take the place of its own. On a CPU equal data and seeds give equal models.
    With `timeout_s` a run has a process of its own, which is ended after so many seconds.
    """

    data_format: DataFormat = "webdataset"
    resumes = True  # from its checkpoint

    def __init__(
        self,
        *,
        preset: PresetName = "small",
        steps: Annotated[int, Field(ge=1)] | None = None,
        batch_size: Annotated[int, Field(ge=1)] | None = None,
        learning_rate: Annotated[float, Field(gt=0)] | None = None,
        device: DeviceName = "auto",
        threads: Annotated[int, Field(ge=1)] = 1,
        timeout_s: TimeoutS = None,
    ) -> None:
        self.preset = TEXT_TO_VIDEO[preset].given(steps, batch_size, learning_rate)
        self.device, self.threads, self.timeout_s = device, threads, timeout_s

    def train(self, data: Path, output: Path, *, seed: int, log: Path) -> Trained:
        """Train on captioned videos or stacks of frames; `TrialError` without any, and where it diverges."""
        device = device_of(self.device)
        from sluice.sandbox.proxy.text_to_video import KIND

        videos = read_captioned(data, self.preset.shape.form)
        videos.tell(log)
        return KIND.train(
            videos, self.preset, output, seed=seed, log=log, device=device, threads=self.threads
        )
