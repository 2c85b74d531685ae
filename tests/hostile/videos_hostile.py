"""Tracks that take their process down in the middle of decoding, as a decoder's fault would, or take their time."""

import os
import signal
import time
from typing import Annotated, Any

from sluice.operator import Field, Span, measure, track

DEADLY_WIDTH_PX = 178


@track(version=1, sees="frames")
class video_deadly:  # noqa: N801 - an operator's name is its class's
    """The frame's number; at the tenth of a video of that width, the end of the process."""

    def start(self, info: Any) -> None:
        self._frames, self._is_deadly = 0, info.width_px == DEADLY_WIDTH_PX

    def __call__(self, frame: Any) -> Annotated[int, Field(unit="frames")]:
        self._frames += 1
        if self._is_deadly and self._frames == 10:
            os.kill(os.getpid(), signal.SIGSEGV)
        return self._frames


@track(version=1, sees="frames")
class video_slow:  # noqa: N801 - an operator's name is its class's
    """The frame's number, each after a twentieth of a second."""

    def start(self, info: Any) -> None:
        self._frames = 0

    def __call__(self, frame: Any) -> Annotated[int, Field(unit="frames")]:
        time.sleep(0.05)
        self._frames += 1
        return self._frames


@measure(version=1, cost="decode")
def video_slow_frames(video_slow: Span) -> Annotated[int, Field(unit="frames")]:
    """How many frames there were."""
    return len(video_slow)


@measure(version=1, cost="decode")
def video_survived_frames(video_deadly: Span) -> Annotated[int, Field(unit="frames")]:
    """How many frames there were."""
    return len(video_deadly)
