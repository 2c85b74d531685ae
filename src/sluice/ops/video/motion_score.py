"""How dynamic is a video?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting

from sluice.codec.video import decode
from sluice.errors import Declined
from sluice.operator import Field, Span, measure
from sluice.operator.spec import When
from sluice.ops.video.along import changes
from sluice.ops.video.flow import flow_magnitude, small_size
from sluice.ops.video.info import ClipInfo
from sluice.sample import Media


@measure(version=1, cost="decode", libraries=("av", "opencv-python-headless", "numpy"))
def video_motion_score(
    media: Media,
    video_info: ClipInfo,
    video_flow: Annotated[Span | None, When("pairs", "even")],
    *,
    fps: Annotated[float, Setting(gt=0)] = 2.0,
    side_px: Annotated[int | None, Setting(ge=16)] = None,
    relative: bool = False,
    pairs: Literal["even", "reference"] = "even",
) -> Annotated[float, Field(unit="pixels a pair", ge=0, higher_is="more motion", bound=">= 0.25")]:
    """Mean magnitude of Farneback's optical flow over pairs of the clip's frames, `fps` a second.

    Data-Juicer's `video_motion_score`: in pixels at native size, or scaled to a shorter side of `side_px` (portrait
    stays portrait); `relative` divides by the frame's diagonal. Native size is dear: 1080p takes a third of a second a
    pair; `video_flow_magnitude` on small frames ranks alike.

    Pairs are evenly spaced along the source. `pairs: reference` takes those of Data-Juicer instead, from the clip's
    start the frames 0, 1, n, 2n, … with n the frame rate over `fps`, of grey made of RGB; it decodes the clip once
    more. Declined with `one frame` where the clip has no pair.
    """
    if video_flow is not None:
        return float(changes(video_flow, "relative" if relative else "mean").mean())
    scores = list(_of_reference(media, video_info, fps, side_px, relative))
    if not scores:
        raise Declined("one frame", "there is no next one to compare")
    return float(np.mean(scores))


def _of_reference(
    media: Media, info: ClipInfo, fps: float, side_px: int | None, relative: bool
) -> Iterator[float]:
    size = small_size(info.width_px, info.height_px, side_px)
    for before, after in pairwise(_reference_frames(media, info, fps, size)):
        score = flow_magnitude(before, after)
        yield score / float(np.hypot(*after.shape)) if relative else score


def _reference_frames(
    media: Media, info: ClipInfo, fps: float, size: tuple[int, int] | None
) -> Iterator[NDArray[np.uint8]]:
    frames = info.frame_count or round(info.duration_s * info.fps)
    step = max(1, min(round(info.fps / min(fps, info.fps)), frames - 1))
    for frame in decode(media):
        if frame.index == 1 or frame.index % step == 0:
            gray = np.asarray(cv2.cvtColor(frame.rgb(), cv2.COLOR_RGB2GRAY), np.uint8)
            if size is not None:
                gray = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
            yield gray
            if frame.index == step == 1:  # there it compares the second frame with itself
                yield gray
