"""Lets the built-in model of pictures and captions write captions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from sluice.model.device import DeviceName, device_of
from sluice.sandbox.registry import inferencer
from sluice.sandbox.train.apart import TimeoutS


@inferencer
class image_text:  # noqa: N801 - its name in a workflow
    """Captions of the first `pictures` of a held-out set (`prompts`), which need captions of their own.

    The answers are a file of JSON lines with `key` and `caption`.
    """

    def __init__(
        self,
        *,
        pictures: Annotated[int, Field(ge=2)] = 1000,
        device: DeviceName = "auto",
        threads: Annotated[int, Field(ge=1)] = 1,
        timeout_s: TimeoutS = None,
    ) -> None:
        self.pictures, self.device, self.threads, self.timeout_s = pictures, device, threads, timeout_s

    def infer(self, model: Path, prompts: Path, output: Path, *, seed: int, log: Path) -> Path:
        """Write the captions; nothing in them is random. `TrialError` without held-out pairs."""
        device = device_of(self.device)
        from sluice.sandbox.proxy.answers import write_captions

        file = output / "captions.jsonl"
        write_captions(model, prompts, file, pictures=self.pictures, device=device, threads=self.threads)
        return file
