"""How much moves in a video, by its own motion vectors?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np

from sluice.codec.video import decode
from sluice.codec.video.motion_vectors import EXPORTING_CODECS
from sluice.errors import Declined
from sluice.operator import Field, Span, measure
from sluice.operator.spec import When
from sluice.ops.video.info import ClipInfo
from sluice.ops.video.motion_vectors import PATCH_PX, Sampling, Speeds, speeds
from sluice.sample import Media

_FPS = 2.0
_LEAST_FRAMES = 10


class Motion(NamedTuple):
    """A clip's motion."""

    mean: Annotated[
        float, Field(unit="share of height + width", ge=0, higher_is="more motion", bound=">= 0.00098")
    ]
    patch_min: Annotated[
        float | None,
        Field(unit="share of height + width", ge=0, higher_is="more motion", bound=">= 0.000001"),
    ]


@measure(version=1, cost="decode", libraries=("av", "numpy"))
def video_motion_vector(
    media: Media,
    video_info: ClipInfo,
    video_motion_vectors: Annotated[Span | None, When("first_half", False)],
    *,
    sampling: Sampling = "area",
    first_half: bool = False,
) -> Motion:
    """Mean magnitude of the codec's motion vectors over the clip, two frames a second, and that of its stillest patch.

    Magnitudes are in shares of height + width of the stored picture, or of the crop of it that is shown, as
    Cosmos-Curate's motion filter has them; so are the bounds. Frames without vectors (key frames) are left out.
    `patch_min` is the least over patches of 256 pixels of the mean over frames: a patch is its area's mean or, with
    `sampling: point`, the value at its centre, as the peer samples it; null where the shorter side has less than 256
    pixels.

    `first_half: true` looks at what the peer looks at: every n-th frame from the clip's start, n being the frame rate
    over 2, until half of the clip's (whole) seconds are seen, ten frames at least; it decodes the clip once more.
    Declined with `no motion vectors` where FFmpeg's decoder of the codec exports none (HEVC, VP9, AV1, …: take
    `video_flow_magnitude`), and with `no frames` where no frame that is looked at has any.
    """
    codec = video_info.source.codec
    if codec not in EXPORTING_CODECS:
        raise Declined("no motion vectors", f"FFmpeg's decoder of {codec} exports none")
    if video_motion_vectors is None:
        found = list(_of_first_half(media, video_info))
        means, patches = [each.mean for each in found], [getattr(each, sampling) for each in found]
    else:
        means, patches = list(video_motion_vectors["mean"]), list(video_motion_vectors[sampling])
    if not means:
        raise Declined("no frames", "no frame that was looked at has motion vectors")
    small = min(media.crop[2:] if media.crop else video_info.source.turned_size) < PATCH_PX
    return Motion(float(np.mean(means)), None if small else _least(patches))


def _least(patches: Sequence[bytes]) -> float:
    return float(np.mean([np.frombuffer(each, np.float32) for each in patches], axis=0).min())


def _of_first_half(media: Media, info: ClipInfo) -> Iterator[Speeds]:
    step = max(1, round(info.fps / _FPS))
    left = max(_LEAST_FRAMES, round(_FPS * int(info.duration_s) / 2))
    for frame in decode(media, motion_vectors=True):
        vectors: Any = frame.motion_vectors if frame.index % step == 0 else ()
        if len(vectors):
            yield speeds(vectors, frame.image.width, frame.image.height, frame.stored_crop)
            left -= 1
        if not left:
            return
