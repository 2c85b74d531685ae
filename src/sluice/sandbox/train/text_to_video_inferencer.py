"""Lets the built-in model that makes videos of captions make some."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from sluice.model.device import DeviceName, device_of
from sluice.sandbox.registry import inferencer
from sluice.sandbox.train.apart import TimeoutS


@inferencer
class text_to_video:  # noqa: N801 - its name in a workflow
    """A video of each of the first `videos` captions of `prompts`: a text file with one a line, or a held-out set.

    The answers are a folder of `00000.mp4`, … with their captions `00000.txt`, …
    """

    def __init__(
        self,
        *,
        videos: Annotated[int, Field(ge=1)] = 96,
        device: DeviceName = "auto",
        threads: Annotated[int, Field(ge=1)] = 1,
        timeout_s: TimeoutS = None,
    ) -> None:
        self.videos, self.device, self.threads, self.timeout_s = videos, device, threads, timeout_s

    def infer(self, model: Path, prompts: Path, output: Path, *, seed: int, log: Path) -> Path:
        """Make the videos, of noise drawn with `seed`. `TrialError` without captions."""
        device = device_of(self.device)
        from sluice.sandbox.proxy.answers import write_videos

        write_videos(
            model, prompts, output, videos=self.videos, seed=seed, device=device, threads=self.threads
        )
        return output
