"""Videos that the video demo renders itself: shots of moving shapes, hard cuts between them, black, a still picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH_PX, HEIGHT_PX, FPS = 1280, 720, 24
VIDEOS = {"harbour": (4, 3, 5), "market": (3, 6), "night": (4, 1, 4), "short": (1,)}
"""Seconds of each shot, by the video's name."""
BLACK_S, STILL_S = {"market": 3}, {"night": 4}
"""Seconds of black at the beginning, and of a picture that stands still at the end, as of credits."""


def make_videos(folder: Path) -> int:
    """Render the videos that are not there yet; how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, seconds) in enumerate(VIDEOS.items()):
        target = folder / f"{name}.mp4"
        if not target.exists():
            rendering = folder / f".{name}.rendering"
            _encode(rendering, name, seed, seconds)
            rendering.rename(target)
    return len(VIDEOS)


def _encode(target: Path, name: str, seed: int, seconds: tuple[int, ...]) -> None:
    import av

    black = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    still = next(_shot(1000 * seed + 999, 1))
    shots = [
        repeat(black, BLACK_S.get(name, 0) * FPS),
        *(_shot(1000 * seed + number, length * FPS) for number, length in enumerate(seconds)),
        repeat(still, STILL_S.get(name, 0) * FPS),
    ]

    with av.open(str(target), "w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for pixels in chain(*shots):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        out.mux(stream.encode(None))


def _shot(seed: int, frames: int) -> Iterator[NDArray[np.uint8]]:
    """A textured ground on which three discs go their ways."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 226, (9, 16, 3), np.uint8)
    ground = cv2.resize(coarse, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC)
    discs = [
        (rng.uniform(0, math.tau), rng.uniform(1, 3), rng.integers(0, 256, 3).tolist()) for _ in range(3)
    ]
    for frame in range(frames):
        picture = ground.copy()
        for k, (phase, speed, colour) in enumerate(discs):
            turn = phase + speed * frame / FPS
            centre = (
                int(WIDTH_PX * (0.5 + 0.35 * math.cos(turn))),
                int(HEIGHT_PX * (0.5 + 0.3 * math.sin(1.3 * turn))),
            )
            cv2.circle(picture, centre, 50 + 25 * k, colour, -1, cv2.LINE_AA)
        yield np.asarray(picture, np.uint8)
