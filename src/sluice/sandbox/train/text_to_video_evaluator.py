"""Evaluates the built-in model that makes videos of captions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from sluice.errors import TrialError
from sluice.model.device import DeviceName, device_of
from sluice.sandbox.registry import evaluator
from sluice.sandbox.train.apart import TimeoutS
from sluice.sandbox.train.protocol import Better


@evaluator
class text_to_video:  # noqa: N801 - its name in a workflow
    """One video made of each of the first `videos` captions of a held-out set, beside their true videos.

    Fréchet distance in a fixed network's features, temporal flicker, dynamic degree and subject consistency as VBench
    means them, agreement with the caption, and the error in denoising the true videos.
    """

    metrics: ClassVar[Mapping[str, Better]] = {
        "frechet_distance": "lower",
        "temporal_flicker": "lower",
        "dynamic_degree": "higher",
        "subject_consistency": "higher",
        "text_agreement": "higher",
        "denoising_error": "lower",
    }

    def __init__(
        self,
        *,
        videos: Annotated[int, Field(ge=2)] = 96,
        device: DeviceName = "auto",
        threads: Annotated[int, Field(ge=1)] = 1,
        timeout_s: TimeoutS = None,
    ) -> None:
        self.videos, self.device, self.threads = videos, device, threads
        self.timeout_s = timeout_s

    def evaluate(
        self, model: Path, data: Path | None, output: Path, *, seed: int, log: Path
    ) -> Mapping[str, float]:
        """The metrics, of noise drawn with `seed`. `TrialError` without held-out videos."""
        if data is None:
            raise TrialError("no result: no held-out set", fix="give held-out videos with captions")
        device = device_of(self.device)
        from sluice.sandbox.proxy.text_to_video_scores import text_to_video_scores

        return text_to_video_scores(
            model, data, videos=self.videos, seed=seed, device=device, threads=self.threads
        )
