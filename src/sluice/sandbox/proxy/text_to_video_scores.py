"""What a trained model of videos can do, on a held-out set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sluice.sandbox.proxy.captioned import Captioned, held_out
from sluice.sandbox.proxy.fit import repeatable
from sluice.sandbox.proxy.retrieval import same_rows
from sluice.sandbox.proxy.text_to_video import KIND, TextToVideo, as_videos, generate
from sluice.sandbox.proxy.video_scores import video_scores

LEVELS = (0.2, 0.4, 0.6, 0.8)
"""Levels of noise at which errors are taken."""
_AT_ONCE = 64


def text_to_video_scores(
    folder: Path, held_out_set: Path, *, videos: int, seed: int, device: str, threads: int
) -> dict[str, float]:
    """Every metric of the model in `folder`, on the first `videos` samples of a held-out set.

    Those of `video_scores`, of one video made of each caption from noise drawn with `seed`, and `denoising_error`, the
    mean of `denoising_errors` of the true videos.
    """
    model, form = KIND.load(folder, device)
    data = held_out(held_out_set, form, videos)
    noise = torch.Generator(device=device).manual_seed(seed)
    with repeatable(seed, threads, device), torch.inference_mode():
        made = torch.cat([generate(model, words, form, noise) for _, words in _batches(data, device)])
        true = torch.cat([true for true, _ in _batches(data, device)])
        error = _errors(model, data, device).mean()
        return {**video_scores(made, true, same_rows(data.words)), "denoising_error": float(error)}


def denoising_losses(folder: Path, data: Captioned, *, device: str, threads: int = 1) -> NDArray[np.float64]:
    """For each sample the mean squared error, in squares of half the range of a channel, of what it is taken for.

    Over the `LEVELS` of noise, under its caption; the noise is the same for every model.
    """
    model, _ = KIND.load(folder, device)
    with repeatable(0, threads, device), torch.inference_mode():
        return _errors(model, data, device)


def _errors(model: TextToVideo, data: Captioned, device: str) -> NDArray[np.float64]:
    noise = torch.Generator(device=device).manual_seed(0)
    found = [
        torch.stack(
            [model.errors(true, words, torch.full((len(true),), t, device=device), noise) for t in LEVELS]
        )
        for true, words in _batches(data, device)
    ]
    return np.asarray(torch.cat(found, dim=1).mean(0).double().cpu().numpy())


def _batches(data: Captioned, device: str) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(data), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        true, words = as_videos(torch.from_numpy(data.pixels[part])), torch.from_numpy(data.words[part])
        yield true.to(device), words.to(device)
