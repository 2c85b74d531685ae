"""Evaluates the built-in model of pictures and captions by retrieval and by the captions it writes."""

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
class image_text:  # noqa: N801 - its name in a workflow
    """Retrieval in both directions, perplexity, BLEU-4 and CIDEr-D on the first `pairs` of a held-out set."""

    metrics: ClassVar[Mapping[str, Better]] = {
        "image_to_text_recall_at_1": "higher",
        "image_to_text_recall_at_5": "higher",
        "text_to_image_recall_at_1": "higher",
        "text_to_image_recall_at_5": "higher",
        "caption_perplexity": "lower",
        "caption_bleu": "higher",
        "caption_cider": "higher",
    }

    def __init__(
        self,
        *,
        pairs: Annotated[int, Field(ge=2)] = 1000,
        device: DeviceName = "auto",
        threads: Annotated[int, Field(ge=1)] = 1,
        timeout_s: TimeoutS = None,
    ) -> None:
        self.pairs, self.device, self.threads = pairs, device, threads
        self.timeout_s = timeout_s

    def evaluate(
        self, model: Path, data: Path | None, output: Path, *, seed: int, log: Path
    ) -> Mapping[str, float]:
        """The metrics; nothing in them is random. `TrialError` without held-out pairs."""
        if data is None:
            raise TrialError("no result: no held-out set", fix="give held-out pairs of pictures and captions")
        device = device_of(self.device)
        from sluice.sandbox.proxy.image_text_scores import image_text_scores

        return image_text_scores(model, data, pairs=self.pairs, device=device, threads=self.threads)
