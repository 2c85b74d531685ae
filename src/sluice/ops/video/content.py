"""How much does each frame of a video differ from the one before, and is it a mixture of those around it?"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sluice.operator import Field, track

WIDTH_PX, HEIGHT_PX = 64, 36
HASH_BITS = 256
REACHES = (3, 6, 12, 24)
"""How many frames before and after: half of the lengths of common dissolves, a quarter of a second to two."""
MIN_OTHER = 16.0
"""By how many levels of 255 two pictures differ, their brightness and contrast made alike, that are not the same."""
MIN_RATIO = 1.5
"""By how much they must differ more than those before and after do: a dissolve is a change that passes."""
_SIDE_PX, _LOW = 32, 16  # the 16 x 16 lowest frequencies of 32 x 32 pixels

Luma = NDArray[np.float32]


class Content(NamedTuple):
    """One frame of a source."""

    pts: Annotated[int, Field(unit="ticks of the stream's time base")]
    difference: Annotated[float | None, Field(unit="levels of 255", ge=0, le=255)]
    hash: Annotated[bytes, Field(bits=HASH_BITS, unit="bits")]
    brightest: Annotated[int, Field(unit="levels of 255", ge=0, le=255)]
    reach: Annotated[int | None, Field(unit="frames", ge=1)]
    unmixed: Annotated[float | None, Field(unit="share", ge=0)]


@track(version=2, sees="frames", libraries=("opencv-python-headless", "numpy"))
class video_content:  # noqa: N801 - an operator's name is its class's
    """What shots are found by, for every frame of the source.

    `pts`: the frame's presentation time in ticks. `difference`: mean absolute difference of its RGB levels to those of
    the frame before, both scaled to 64 x 36 by area; null for the first. `hash`: 256 bits that say which of the
    16 x 16 lowest frequencies (DCT of the luma at 32 x 32) lie above their median, as perceptual hashes do (Zauner
    2010) and PySceneDetect's hash detector. `brightest`: the brightest of the 32 x 32.

    `unmixed`: how far the frame lies from the mean of the frames `reach` before and after it, over how much these two
    differ; both are mean absolute differences of the luma at 32 x 32 without its mean, and of two differences the lower
    that remains when one picture's contrast is made that of the other. 0 halfway through a dissolve of pictures at
    rest, 0.5 and more at a cut. `reach` is that of 3, 6, 12 and 24 frames for which it is lowest. Both are null where
    those two differ by less than 16 levels, so that a lamp that is dimmed is not another picture, or by less than 1.5
    times as much as pictures so far apart do just before and after, so that a slow pan over blurred things is no
    dissolve.
    """

    def start(self, info: Any) -> None:
        """A new source: nothing comes before its first frame."""
        self._before: NDArray[np.uint8] | None = None
        self._times, self._pts, self._differences = array("d"), array("q"), array("d")
        self._hashes, self._brightest = bytearray(), bytearray()
        self._near: deque[Luma] = deque(maxlen=2 * REACHES[-1] + 1)
        self._pairs = {reach: (array("f"), array("f")) for reach in REACHES}

    def __call__(self, frame: Any) -> Content | None:
        """Nothing yet: whether a frame is a mixture is known when those after it are."""
        pixels = frame.small_rgb(WIDTH_PX, HEIGHT_PX)
        before = pixels if self._before is None else self._before
        luma = frame.small(_SIDE_PX, _SIDE_PX).astype(np.float32)
        self._times.append(frame.time_s)
        self._pts.append(frame.pts)
        self._differences.append(cv2.norm(pixels, before, cv2.NORM_L1) / pixels.size)
        self._hashes += _hash(luma)
        self._brightest.append(int(luma.max()))
        self._before = pixels
        self._near.append((luma - luma.mean()).ravel())
        for reach, (missed, other) in self._pairs.items():
            if len(self._near) > 2 * reach:
                pair = self._near[-1 - 2 * reach], self._near[-1]
                missed.append(_missed(self._near[-1 - reach], *pair))
                other.append(_other(*pair))
        return None

    def end(self) -> Iterable[tuple[float, Content]]:
        """One row for each frame."""
        reaches, unmixed = self._mixtures()
        for i, time_s in enumerate(self._times):
            digest = bytes(self._hashes[i * HASH_BITS // 8 : (i + 1) * HASH_BITS // 8])
            mixture = (reaches[i], unmixed[i]) if reaches[i] else (None, None)
            difference = self._differences[i] if i else None
            yield time_s, Content(self._pts[i], difference, digest, self._brightest[i], *mixture)

    def _mixtures(self) -> tuple[list[int], list[float]]:
        """For each frame the reach at which it is most of a mixture (0: at none), and its distance from one."""
        count = len(self._times)
        reaches, unmixed = np.zeros(count, np.int64), np.full(count, np.inf)
        for reach, (missed, other) in self._pairs.items():
            apart = np.asarray(other, np.float64)
            stands_out = apart >= np.maximum(MIN_OTHER, MIN_RATIO * _beside(apart, 2 * reach))
            share = np.where(stands_out, np.asarray(missed) / np.maximum(apart, 1.0), np.inf)
            middle = slice(reach, reach + len(share))
            reaches[middle][share < unmixed[middle]] = reach
            unmixed[middle] = np.minimum(share, unmixed[middle])
        return reaches.tolist(), unmixed.tolist()


def _hash(luma: Luma) -> bytes:
    low = cv2.dct(luma)[:_LOW, :_LOW].ravel()
    middle = np.partition(low, (low.size // 2 - 1, low.size // 2))[low.size // 2 - 1 : low.size // 2 + 1]
    return np.packbits(low > middle.mean()).tobytes()


def _missed(frame: Luma, a: Luma, b: Luma) -> float:
    """By how many levels a frame misses the mean of two others."""
    return cv2.norm(cv2.addWeighted(a, 0.5, b, 0.5, 0.0), frame, cv2.NORM_L1) / frame.size


def _other(a: Luma, b: Luma) -> float:
    """Mean levels that remain of either picture when as much of the other as there is in it is taken away."""
    both = max(0.0, float(a @ b))
    of_b = cv2.norm(cv2.addWeighted(a, both / max(1.0, float(a @ a)), b, -1.0, 0.0), cv2.NORM_L1)
    of_a = cv2.norm(cv2.addWeighted(b, both / max(1.0, float(b @ b)), a, -1.0, 0.0), cv2.NORM_L1)
    return min(of_a, of_b) / a.size


def _beside(values: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """The mean of the values so many steps before and after each, of those that there are; 0 where there is none."""
    total, count = np.zeros(len(values)), np.zeros(len(values))
    if len(values) > steps:
        total[steps:] += values[:-steps]
        count[steps:] += 1
        total[:-steps] += values[steps:]
        count[:-steps] += 1
    return total / np.maximum(count, 1.0)
