"""How likely does a shot of a video end at each frame, by TransNetV2?"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sluice.model.client import Server, server_for
from sluice.model.device import Device, DtypeName
from sluice.model.files import Weights, find
from sluice.model.runner import BatchSize, Load, Runner
from sluice.model.transnetv2 import HEIGHT_PX, MARGIN_FRAMES, STEP_FRAMES, WIDTH_PX, WINDOW_FRAMES
from sluice.operator import Field, track
from sluice.operator.spec import Inherited

Pixels = NDArray[np.uint8]


class ShotEnd(NamedTuple):
    """One frame of a source."""

    pts: Annotated[int, Field(unit="ticks of the stream's time base")]
    probability: Annotated[float, Field(unit="probability", ge=0, le=1)]


class Windows:
    """Windows of 100 frames, each 50 after the one before, of frames that come one by one.

    The first begins with 25 copies of the first frame and the last ends with copies of the last, so that the middle 50
    of all windows are the frames in their order, and some copies after them.
    """

    def __init__(self) -> None:
        self._held: list[Pixels] = []
        self._waiting = 0  # frames that no window has in its middle yet

    def add(self, frame: Pixels) -> Iterator[Pixels]:
        """The window that this frame completes, if it does so."""
        if not self._held:
            self._held = [frame] * MARGIN_FRAMES
        self._waiting += 1
        yield from self._extended(frame)

    def rest(self) -> Iterator[Pixels]:
        """The windows that are left when no frame comes any more."""
        while self._waiting > 0:
            yield from self._extended(self._held[-1])

    def _extended(self, frame: Pixels) -> Iterator[Pixels]:
        self._held.append(frame)
        if len(self._held) == WINDOW_FRAMES:
            yield np.stack(self._held)
            self._held, self._waiting = self._held[STEP_FRAMES:], self._waiting - STEP_FRAMES


@track(version=1, sees="frames", libraries=("numpy", "torch"))
class video_transnetv2:  # noqa: N801 - an operator's name is its class's
    """The probability, for every frame of the source, that the shot ends there: TransNetV2's answer for the middle
    frame of a transition (Souček and Lokoč 2020, arXiv 2008.04838).

    Frames are scaled to 48 x 27 (RGB, by area) and go through the network in windows of 100, each 50 after the one
    before, of which the middle 50 count; the first and the last frame are repeated beyond the video's ends, as its
    authors do. `pts`: the frame's presentation time in ticks.

    `weights` is a path or name of the released weights for PyTorch (.pth or .safetensors); `device` says where it runs,
    `dtype` in which precision (auto: float32 on a CPU, bfloat16 on a GPU), `batch_size` how many windows go through
    together: one, unless said otherwise, is a hundred pictures already.
    """

    def __init__(
        self,
        *,
        weights: Annotated[Weights, Inherited()],
        device: Device = "auto",
        dtype: DtypeName = "auto",
        batch_size: BatchSize = 1,
    ) -> None:
        self._weights = weights
        self._runs_on: dict[str, Any] = {"device": device, "dtype": dtype, "batch_size": batch_size}

    def open(self) -> Runner:
        """Load the model, once a process."""
        server = server_for(self._runs_on["device"])
        return _runner(str(find(self._weights)), tuple(self._runs_on.items()), server)

    def start(self, info: Any) -> None:
        """A new source: no frame of it was seen."""
        self._runner = self.open()
        self._windows, self._full = Windows(), list[Pixels]()
        self._times, self._pts = array("d"), array("q")
        self._probabilities: list[NDArray[np.float32]] = []

    def __call__(self, frame: Any) -> ShotEnd | None:
        """Nothing yet: what is said of a frame depends on those after it."""
        self._times.append(frame.time_s)
        self._pts.append(frame.pts)
        self._take(self._windows.add(frame.small_rgb(WIDTH_PX, HEIGHT_PX)))
        return None

    def end(self) -> Iterable[tuple[float, ShotEnd]]:
        """One row for each frame."""
        self._take(self._windows.rest())
        self._run()
        known = np.concatenate([*self._probabilities, np.empty(0)])[: len(self._times)].tolist()
        for time_s, pts, probability in zip(self._times, self._pts, known, strict=True):
            yield time_s, ShotEnd(pts, probability)

    def _take(self, windows: Iterable[Pixels]) -> None:
        for window in windows:
            self._full.append(window)
            if len(self._full) >= self._runner.batch_size:
                self._run()

    def _run(self) -> None:
        """Have the windows that wait looked at."""
        self._probabilities += self._runner([{"frames": window} for window in self._full])
        self._full.clear()


@cache
def _runner(path: str, runs_on: tuple[tuple[str, Any], ...], server: Server | None) -> Runner:
    """The opened model, shared by all sources; another where another process serves the device."""
    return Runner(Load("sluice.model.transnetv2:transitions", path), **dict(runs_on)).open()
