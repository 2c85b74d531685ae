"""Videos that the video demo renders itself: shots of moving shapes with hard cuts between them, and a black one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH_PX, HEIGHT_PX, FPS = 1280, 720, 24
VIDEOS = {"harbour": (4, 3, 5), "market": (3, 6), "night": (4, 1, 4), "short": (1,)}
"""Seconds of each shot, by the video's name."""


def make_videos(folder: Path) -> int:
    """Render the videos that are not there yet; how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, seconds) in enumerate(VIDEOS.items()):
        target = folder / f"{name}.mp4"
        if not target.exists():
            rendering = folder / f".{name}.rendering"
            _encode(rendering, seed, seconds)
            rendering.rename(target)
    return len(VIDEOS)


def _encode(target: Path, seed: int, seconds: tuple[int, ...]) -> None:
    import av

    with av.open(str(target), "w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for number, length in enumerate(seconds):
            for pixels in _shot(1000 * seed + number, length * FPS):
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
