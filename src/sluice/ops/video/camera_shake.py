"""Does a video's camera shake?"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting

from sluice.errors import Declined
from sluice.operator import Field, Span, measure


@measure(version=1, cost="decode", libraries=("numpy",))
def video_camera_shake(
    video_camera_motion: Span, *, smooth_s: Annotated[float, Setting(gt=0)] = 0.5
) -> Annotated[float, Field(unit="share of the diagonal", ge=0, higher_is="shakier", bound="<= 0.02")]:
    """How far the picture strays from a smooth path on average, in shares of the diagonal.

    The path is the sum of the whole picture's moves from frame to frame (`video_camera_motion`), its smooth version
    the moving average over `smooth_s` seconds, as video stabilisers take it (Matsushita and others, "Full-frame video
    stabilization with motion inpainting", PAMI 2006). Pans, tilts and dollies are smooth and count nothing, however
    fast; hands, steps and engines, above one swing a second, count. 0.001 is one pixel in 1,000 of the diagonal.
    Declined with `too short` where the clip has less than twice `smooth_s`.
    """
    steps = np.stack([video_camera_motion["x"], video_camera_motion["y"]], axis=1)[1:]
    rate = len(video_camera_motion) / max(video_camera_motion.duration_s, 1e-9)
    window = round(smooth_s * rate) | 1  # odd, so that it has a middle
    if len(steps) < 2 * window or window < 3:
        raise Declined("too short", f"{len(steps)} moves are less than twice {smooth_s} s of them")
    path = np.nan_to_num(steps).cumsum(axis=0)
    strays = path[window // 2 : len(path) - window // 2] - _smooth(path, window)
    return float(np.hypot(*strays.T).mean())


def _smooth(path: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """The means of so many points around each, where all of them are there."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(path, window, axis=0).mean(axis=-1))
