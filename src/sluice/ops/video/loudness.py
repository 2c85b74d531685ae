"""How loud is a video?"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sluice.errors import Declined
from sluice.operator import Field, Span, measure
from sluice.ops.video.sound import STEP_S

_STEPS = 4  # a gating block is 0.4 s long, three quarters of which it shares with the one before
_SILENCE_LUFS, _BELOW_MEAN_LU = -70.0, 10.0


@measure(version=1, cost="header", libraries=("numpy",))
def video_audio_loudness_lufs(
    video_sound: Span,
) -> Annotated[float, Field(unit="LUFS", higher_is="louder", typical=(-70, 0))]:
    """Integrated loudness of a clip's sound by ITU-R BS.1770-4 (EBU R 128), in LUFS.

    Blocks of 0.4 s, one every 0.1 s of source time; those of -70 LUFS or less are left out, then those more than 10 LU
    below the mean power of the others. Known value: a sine of 997 Hz at full scale in one channel has -3.01 LUFS.
    Streaming services aim at -14, broadcasters at -23 (R 128). A clip is measured from the first whole step that begins
    in it, to the end of the last one that begins in it.

    Declined with `no sound` where the video has none, `too little sound` where it lasts less than 0.4 s at a stretch,
    and `silence` where no block is above -70 LUFS.
    """
    if not video_sound.info.has_audio:
        raise Declined("no sound", "the video has no audio stream")
    blocks = _blocks(video_sound)
    if len(blocks) == 0:
        raise Declined("too little sound", "less than 0.4 s at a stretch")
    heard = blocks[_lufs(blocks) > _SILENCE_LUFS]
    if len(heard) == 0:
        raise Declined("silence", f"nothing is above {_SILENCE_LUFS:g} LUFS")
    loud = heard[_lufs(heard) > _lufs(heard.mean()) - _BELOW_MEAN_LU]
    return float(_lufs(loud.mean()))


def _blocks(sound: Span) -> NDArray[np.float64]:
    """The mean power of every four steps in a row that are filled with sound."""
    if len(sound) == 0:
        return np.empty(0)
    at = np.rint(sound.times_s / STEP_S).astype(int)
    steps = np.full(max(_STEPS, at[-1] - at[0] + 1), np.nan)
    steps[at - at[0]] = sound["power"].astype(float)
    means = np.lib.stride_tricks.sliding_window_view(steps, _STEPS).mean(axis=1)
    return np.asarray(means[~np.isnan(means)])


def _lufs(power: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):  # digital silence lies at minus infinity
        return np.asarray(-0.691 + 10 * np.log10(power))
