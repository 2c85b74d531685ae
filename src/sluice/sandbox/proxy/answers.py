"""What the small models answer: captions of pictures, and videos of captions, as files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from sluice.sandbox.proxy import image_text, text_to_video
from sluice.sandbox.proxy.captioned import held_out, read_captions
from sluice.sandbox.proxy.fit import repeatable
from sluice.sandbox.proxy.image_text_scores import write
from sluice.sandbox.proxy.mp4 import mp4
from sluice.sandbox.proxy.saved import lexicon_of
from sluice.sandbox.proxy.words import numbered, said
from sluice.storage import Location

UNKNOWN = "<unk>"
"""What is written for a number that no word of the training data had."""
_AT_ONCE = 64


def write_captions(
    model_folder: Path, prompts: Path, file: Path, *, pictures: int, device: str, threads: int
) -> None:
    """Write what a model says of the first `pictures` of a held-out set: JSON lines with `key` and `caption`.

    The likeliest word each time, in the words (lower-cased) of the data that the model was trained on.
    """
    model, form = image_text.KIND.load(model_folder, device)
    lexicon, data = lexicon_of(model_folder), held_out(prompts, form, pictures)
    lines = []
    with repeatable(0, threads, device), torch.inference_mode():
        for start in range(0, len(data), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            _, parts = model.pictures(torch.from_numpy(data.pixels[part, 0]).to(device))
            for key, row in zip(data.keys[part], write(model, parts, form.length).cpu().numpy(), strict=True):
                caption = " ".join(lexicon.get(number, UNKNOWN) for number in said(row))
                lines.append(json.dumps({"key": key, "caption": caption}, ensure_ascii=False))
    Location(file).write(("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))


def write_videos(
    model_folder: Path, prompts: Path, output: Path, *, videos: int, seed: int, device: str, threads: int
) -> None:
    """Write a video of each of the first `videos` captions: `00000.mp4`, and its caption `00000.txt`.

    They are those that the evaluator `text_to_video` judges with this seed, as far as H.264 keeps them.
    """
    model, form = text_to_video.KIND.load(model_folder, device)
    captions = read_captions(prompts, videos)
    noise = torch.Generator(device=device).manual_seed(seed)
    with repeatable(seed, threads, device):
        for start in range(0, len(captions), _AT_ONCE):
            some = captions[start : start + _AT_ONCE]
            words = np.stack([numbered(caption, form.vocabulary, form.length) for caption in some])
            made = text_to_video.generate(model, torch.from_numpy(words).to(device), form, noise)
            for k, pixels in enumerate(text_to_video.as_pixels(made).cpu().numpy(), start):
                (output / f"{k:05d}.mp4").write_bytes(mp4(pixels))
                (output / f"{k:05d}.txt").write_text(captions[k], encoding="utf-8")
