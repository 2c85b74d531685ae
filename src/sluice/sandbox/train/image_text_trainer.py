"""Trains the built-in model of pictures and captions, in this process, on a CPU or a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from sluice.model.device import DeviceName, device_of
from sluice.sandbox.proxy.captioned import read_captioned
from sluice.sandbox.proxy.presets import IMAGE_TEXT, PresetName
from sluice.sandbox.registry import trainer
from sluice.sandbox.train.apart import TimeoutS
from sluice.sandbox.train.protocol import DataFormat, Trained


@trainer
class image_text:  # noqa: N801 - its name in a workflow
    """A small contrastive model and captioner in one, from scratch (a small CoCa, Yu and others 2022).

    `preset` is `smoke` (pictures of 24 px, 5 CPU-seconds) or `small` (32 px, 16 CPU-minutes); `steps`, `batch_size` and
    `learning_rate` take the place of its own. On a CPU equal data and seeds give equal models.
    With `timeout_s` a run has a process of its own, which is ended after so many seconds.
    """

    data_format: DataFormat = "webdataset"
    resumes = True  # from its checkpoint

    def __init__(
        self,
        *,
        preset: PresetName = "small",
        steps: Annotated[int, Field(ge=1)] | None = None,
        batch_size: Annotated[int, Field(ge=2)] | None = None,
        learning_rate: Annotated[float, Field(gt=0)] | None = None,
        device: DeviceName = "auto",
        threads: Annotated[int, Field(ge=1)] = 1,
        timeout_s: TimeoutS = None,
    ) -> None:
        self.preset = IMAGE_TEXT[preset].given(steps, batch_size, learning_rate)
        self.device, self.threads, self.timeout_s = device, threads, timeout_s

    def train(self, data: Path, output: Path, *, seed: int, log: Path) -> Trained:
        """Train on pairs of a picture and a caption; `TrialError` with fewer than 2, and where it diverges."""
        device = device_of(self.device)
        from sluice.sandbox.proxy.image_text import KIND

        pairs = read_captioned(data, self.preset.shape.form, least=2)
        pairs.tell(log)
        return KIND.train(pairs, self.preset, output, seed=seed, log=log, device=device, threads=self.threads)
