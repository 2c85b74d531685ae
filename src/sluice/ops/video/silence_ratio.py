"""For how much of a video is nothing heard?"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field as Setting

from sluice.errors import Declined
from sluice.operator import Field, Span, measure
from sluice.ops.video.sound import STEP_S


@measure(version=1, cost="header", libraries=("numpy",))
def video_silence_ratio(
    video_sound: Span, *, floor_dbfs: Annotated[float, Setting(le=0)] = -60.0
) -> Annotated[float, Field(unit="share of time", ge=0, le=1, higher_is="more silence")]:
    """Share of a clip's steps of 0.1 s whose level is below `floor_dbfs` in every channel.

    The level is the root mean square, in dB of full scale. -60 is the default of FFmpeg's `silencedetect` and lies
    below the noise of a quiet room's recording. Where sound is missing, as when it ends before the pictures, that is
    silence too. Declined with `no sound` where the video has no audio stream, and `too short` where no step begins in
    the clip.
    """
    if not video_sound.info.has_audio:
        raise Declined("no sound", "the video has no audio stream")
    first, past = np.ceil(np.array([video_sound.start_s, video_sound.end_s]) / STEP_S - 1e-6)
    if past <= first:
        raise Declined("too short", "no step of 0.1 s begins in it")
    loud = int((video_sound["mean_square"] >= 10 ** (floor_dbfs / 10)).sum())
    return max(0.0, 1.0 - loud / float(past - first))
