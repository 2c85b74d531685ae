"""Scenes of one coloured shape, still or moving, whose caption says all that matters: data whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 230),
    "yellow": (240, 220, 50),
    "purple": (150, 50, 180),
    "cyan": (60, 210, 220),
    "orange": (245, 140, 30),
    "white": (245, 245, 245),
}
GROUNDS = {"black": (10, 10, 10), "gray": (110, 110, 110), "pink": (240, 170, 190), "brown": (100, 65, 35)}
SIZES = {"small": 0.13, "large": 0.25}
"""Half a shape's extent, in sides of the picture."""
PLACES = {
    "top left": (-1, -1),
    "top": (0, -1),
    "top right": (1, -1),
    "left": (-1, 0),
    "centre": (0, 0),
    "right": (1, 0),
    "bottom left": (-1, 1),
    "bottom": (0, 1),
    "bottom right": (1, 1),
}
MOTIONS = {
    "moves right": (1, 0),
    "moves left": (-1, 0),
    "moves down": (0, 1),
    "moves up": (0, -1),
    "stands still": (0, 0),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring", "bar")

_REACH = 0.24  # how far from the middle a shape's centre lies, in sides: a large one just stays inside
_FINE = 4  # drawn so many times larger, then averaged: edges as soft as a lens makes them


@dataclass(frozen=True)
class Scene:
    """What a caption can say of a picture; a moving scene has a `motion` and no `place`."""

    colour: str
    shape: str
    size: str
    ground: str
    place: str = ""
    motion: str = ""

    @property
    def caption(self) -> str:
        """All of it in words: `a small red ring at the top left on gray ground`."""
        where = self.motion or f"at the {self.place}"
        return f"a {self.size} {self.colour} {self.shape} {where} on {self.ground} ground"

    def agreement(self, other: Scene) -> float:
        """The share, from 0 to 1, of what is said of the one that is true of the other."""
        pairs = zip(self._said(), other._said(), strict=True)
        return sum(a == b for a, b in pairs) / len(self._said())

    def _said(self) -> tuple[str, ...]:
        return (self.colour, self.shape, self.size, self.ground, self.place + self.motion)


def scene(rng: np.random.Generator, *, moving: bool) -> Scene:
    """One of the 3,456 still or 1,920 moving scenes, each as likely."""
    colour, shape, size, ground = (
        str(rng.choice(list(words))) for words in (COLOURS, SHAPES, SIZES, GROUNDS)
    )
    place, motion = ("", str(rng.choice(list(MOTIONS)))) if moving else (str(rng.choice(list(PLACES))), "")
    return Scene(colour, shape, size, ground, place, motion)


def drawn(what: Scene, rng: np.random.Generator, side_px: int, frames: int = 1) -> Pixels:
    """The scene as uint8 RGB [frames, side, side, 3], a little off its place and with a light of its own."""
    off_x, off_y, light = *rng.uniform(-0.04, 0.04, 2), rng.uniform(0.85, 1.0)
    step_x, step_y = MOTIONS.get(what.motion, (0, 0))
    place_x, place_y = PLACES.get(what.place, (0, 0))
    pictures = []
    for moment in np.linspace(-1, 1, frames) if frames > 1 else (0.0,):
        x = 0.5 + off_x + _REACH * (place_x + moment * step_x)
        y = 0.5 + off_y + _REACH * (place_y + moment * step_y)
        pictures.append(_picture(what, (x, y), side_px))
    return np.asarray(np.rint(np.stack(pictures) * light), np.uint8)


def with_noise(pixels: Pixels, rng: np.random.Generator, sd: float) -> Pixels:
    """The same with normal noise of standard deviation `sd` levels in every channel of every pixel, clipped."""
    return np.asarray(np.clip(np.rint(pixels + rng.normal(0, sd, pixels.shape)), 0, 255), np.uint8)


def _picture(what: Scene, centre: tuple[float, float], side_px: int) -> NDArray[np.float64]:
    side = side_px * _FINE
    canvas = np.full((side, side, 3), GROUNDS[what.ground], np.uint8)
    x, y = (round(c * side) for c in centre)
    _draw(canvas, what.shape, x, y, round(SIZES[what.size] * side), COLOURS[what.colour])
    shrunk: NDArray[np.float64] = canvas.reshape(side_px, _FINE, side_px, _FINE, 3).mean((1, 3))
    return shrunk


def _draw(canvas: Pixels, shape: str, x: int, y: int, r: int, colour: tuple[int, int, int]) -> None:
    third = max(1, r // 3)
    if shape == "circle":
        cv2.circle(canvas, (x, y), r, colour, cv2.FILLED)
    elif shape == "ring":
        cv2.circle(canvas, (x, y), r - third // 2, colour, third)
    elif shape == "triangle":
        corners = np.array([(x, y - r), (x - r, y + r), (x + r, y + r)], np.int32)
        cv2.fillPoly(canvas, [corners], colour)
    else:
        boxes = {"square": [(r, r)], "bar": [(r, third)], "cross": [(r, third), (third, r)]}
        for half_width, half_height in boxes[shape]:
            corner = (x - half_width, y - half_height)
            cv2.rectangle(canvas, corner, (x + half_width, y + half_height), colour, cv2.FILLED)
