"""How much of a video stands still?"""

from typing import Annotated

import numpy as np
from pydantic import Field as Setting

from sluice.errors import Declined
from sluice.operator import Field, Span, measure

STILL_LEVELS = 0.001 * 255
"""Mean difference of two frames, in levels of 255, up to which they show the same: -60 dB of full scale, the `noise`
of FFmpeg's freezedetect."""


@measure(version=1, cost="decode", libraries=("numpy",))
def video_freeze_ratio(
    video_content: Span,
    *,
    min_freeze_s: Annotated[float, Setting(ge=0)] = 2.0,
    max_difference: Annotated[float, Setting(ge=0, le=255)] = STILL_LEVELS,
) -> Annotated[float, Field(unit="share", ge=0, le=1, higher_is="stiller", bound="<= 0.5")]:
    """Share of the clip's time in which one picture stays for at least `min_freeze_s` seconds.

    A picture stays while each frame differs from the one before by at most `max_difference` levels of 255 (means over
    64 x 36 pixels, see `video_content`); the defaults are those of FFmpeg's freezedetect (`d=2`, `n=-60dB`). A frame
    that is shown for so long by itself, as in slide shows of variable frame rate, is a freeze too. Declined with `no
    frames` where the clip has none.
    """
    times = video_content.times_s
    if not len(times):
        raise Declined("no frames", "no frame of the source lies in the clip")
    changed = np.flatnonzero(video_content["difference"][1:] > max_difference) + 1
    shown = np.diff(np.concatenate([times[:1], times[changed], [video_content.end_s]]))
    return float(shown[shown >= min_freeze_s].sum() / shown.sum())
