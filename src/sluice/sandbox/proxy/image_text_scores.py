"""What a trained model of pictures and captions can do, on a held-out set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sluice.sandbox.proxy.caption_scores import bleu, cider
from sluice.sandbox.proxy.captioned import Captioned, held_out
from sluice.sandbox.proxy.fit import repeatable
from sluice.sandbox.proxy.image_text import KIND, ImageText
from sluice.sandbox.proxy.retrieval import recall, same_rows
from sluice.sandbox.proxy.words import END, PAD, START, said

RECALL_AT = (1, 5)
_AT_ONCE = 256


def image_text_scores(
    folder: Path, held_out_set: Path, *, pairs: int, device: str, threads: int
) -> dict[str, float]:
    """Every metric of the model in `folder` on the first `pairs` samples of a held-out set.

    `image_to_text_recall_at_k` and `text_to_image_recall_at_k` (0 to 1) among these samples; `caption_perplexity` (1
    or more), e to the mean surprise of a word of the true captions; `caption_bleu` (0 to 1) and `caption_cider` (0 to
    10) of the captions that it writes by always taking the likeliest word.
    """
    model, form = KIND.load(folder, device)
    data = held_out(held_out_set, form, pairs)
    with repeatable(0, threads, device), torch.inference_mode():
        answers = [_answers(model, *batch) for batch in _batches(data, device)]
    shown, read, surprise, written = (np.concatenate(found) for found in zip(*answers, strict=True))
    alike, same = (shown @ read.T).astype(np.float64), same_rows(data.words)
    found = {f"image_to_text_recall_at_{k}": value for k, value in recall(alike, same, RECALL_AT).items()}
    found |= {f"text_to_image_recall_at_{k}": value for k, value in recall(alike.T, same, RECALL_AT).items()}
    captions, references = [said(row) for row in written], [[said(row)] for row in data.words]
    return found | {
        "caption_perplexity": float(np.exp(surprise.sum() / (data.words[:, 1:] != PAD).sum())),
        "caption_bleu": bleu(captions, references),
        "caption_cider": cider(captions, references),
    }


def caption_losses(folder: Path, data: Captioned, *, device: str, threads: int = 1) -> NDArray[np.float64]:
    """For each sample the mean surprise, in nats, of a word of its caption, given its picture."""
    model, _ = KIND.load(folder, device)
    with repeatable(0, threads, device), torch.inference_mode():
        surprise = np.concatenate(
            [
                model.surprise(words, model.pictures(pixels)[1]).cpu().numpy()
                for pixels, words in _batches(data, device)
            ]
        )
    return np.asarray(surprise.sum(1) / (data.words[:, 1:] != PAD).sum(1), np.float64)


def _answers(model: ImageText, pixels: Tensor, words: Tensor) -> tuple[NDArray[Any], ...]:
    """Vectors of pictures and of captions, surprise at the captions, and captions written."""
    shown, parts = model.pictures(pixels)
    found = (shown, model.captions(words), model.surprise(words, parts), write(model, parts, words.shape[1]))
    return tuple(part.cpu().numpy() for part in found)


def _batches(data: Captioned, device: str) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(data), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        pixels, words = torch.from_numpy(data.pixels[part, 0]), torch.from_numpy(data.words[part])
        yield pixels.to(device), words.to(device)


def write(model: ImageText, parts: Tensor, length: int) -> Tensor:
    """The captions [n, length] of pictures given by their parts: the likeliest word each time, until END."""
    words = torch.full((len(parts), length), PAD, device=parts.device)
    words[:, 0] = START
    ended = torch.zeros(len(parts), dtype=torch.bool, device=parts.device)
    for place in range(1, length):
        following = model.next_words(words[:, :place], parts)[:, -1].argmax(-1)
        words[:, place] = torch.where(ended, PAD, following)
        ended |= following == END
        if bool(ended.all()):
            break
    return words
