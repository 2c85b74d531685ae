"""Writes captioned shapes as ordinary input, with faults planted in known samples: what an experiment must find."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sluice.codec.encode import encode
from sluice.errors import UsageError
from sluice.sandbox.proxy.mp4 import mp4
from sluice.sandbox.proxy.shapes import Pixels, Scene, drawn, scene, with_noise

Part = Literal["clean", "shuffled", "noisy"]

NOISE_SD = 120.0
"""Levels of 255: what is drawn is hardly seen. With 70 two experiments of nineteen could not tell noisy videos from a
random third of them (decision 0020)."""
AGREEMENT_ERROR = 0.05
"""A model's score of agreement has an error; so has this one, uniform from 0 to this."""


@dataclass(frozen=True)
class Planted:
    """How many samples, and which shares of them (0 to 1, together at most 1) have which fault.

    `captions_shuffled`: pictures stay among themselves and captions are dealt anew, none to its own. `noisy`: pixels
    get normal noise of `NOISE_SD`. With `frames` each is a video of a moving shape, else a picture.
    """

    count: int
    captions_shuffled: float = 0.0
    noisy: float = 0.0
    frames: int = 0
    side_px: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        shares = (self.captions_shuffled, self.noisy)
        if self.count < 1 or min(shares) < 0 or sum(shares) > 1 or self.side_px < 16 or self.frames < 0:
            raise UsageError(
                f"this cannot be planted: {self}",
                fix="take a positive count, shares of 0 to 1 that come to at most 1 together, and 16 px or more",
            )


def write_planted(folder: Path, planted: Planted) -> int:
    """Write the samples into a folder, three files each; how many. Same settings, same bytes.

    `00000.png` (`.mp4` where there are frames), its caption `00000.txt`, and `00000.json` with what is true of it,
    which `sample_metadata_number` reads: `caption_agreement`, the share of what the caption says that is so (less an
    error of measurement), and `part`, `clean`, `shuffled` or `noisy`. Noise is left to operators on pixels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, (pixels, caption, facts) in enumerate(_samples(planted)):
        data, suffix = (mp4(pixels), "mp4") if planted.frames else (encode(pixels[0], "png"), "png")
        (folder / f"{number:05d}.{suffix}").write_bytes(data)
        (folder / f"{number:05d}.txt").write_text(caption, encoding="utf-8")
        (folder / f"{number:05d}.json").write_text(json.dumps(facts), encoding="utf-8")
    return planted.count


def _samples(planted: Planted) -> Iterator[tuple[Pixels, str, dict[str, Any]]]:
    # Scenes, faults and pixels draw from streams of their own, so that a fault changes nothing but itself.
    scenes_rng, faults_rng, pixels_rng = (np.random.default_rng([planted.seed, k]) for k in range(3))
    scenes = [scene(scenes_rng, moving=planted.frames > 0) for _ in range(planted.count)]
    parts = _parts(planted, faults_rng)
    told = _dealt(scenes, np.flatnonzero(parts == "shuffled"), faults_rng)
    for shown, said, part in zip(scenes, told, parts.tolist(), strict=True):
        pixels = drawn(shown, pixels_rng, planted.side_px, max(1, planted.frames))
        if part == "noisy":
            pixels = with_noise(pixels, faults_rng, NOISE_SD)
        agreement = said.agreement(shown) - AGREEMENT_ERROR * float(faults_rng.random())
        yield pixels, said.caption, {"caption_agreement": round(agreement, 4), "part": part}


def _parts(planted: Planted, rng: np.random.Generator) -> Any:
    """Which part each sample belongs to; the shares are met exactly, up to rounding."""
    shuffled, noisy = (round(planted.count * s) for s in (planted.captions_shuffled, planted.noisy))
    parts = np.full(planted.count, "clean", dtype="<U8")
    order = rng.permutation(planted.count)
    parts[order[:shuffled]] = "shuffled"
    parts[order[shuffled : shuffled + noisy]] = "noisy"
    return parts


def _dealt(scenes: list[Scene], among: Any, rng: np.random.Generator) -> list[Scene]:
    """Each sample gets its own scene's caption, those of `among` the one that is next in a random round."""
    told = list(scenes)
    around = rng.permutation(among)
    for mine, theirs in zip(around, np.roll(around, 1), strict=True):
        told[mine] = scenes[theirs]
    return told
