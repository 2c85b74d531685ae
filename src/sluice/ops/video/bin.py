"""Into which bin of a training set does a clip go, by resolution, aspect ratio and length?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from sluice.errors import Declined
from sluice.operator import Field, measure
from sluice.ops.video.shape import ClipShape

Bounds = tuple[float, float | None]
"""The least and the greatest, null where there is none."""

RESOLUTIONS = {"1080": 1080, "720": 720}
ASPECT_RATIOS = {
    "9_16": (0.0, 0.65),
    "3_4": (0.65, 0.88),
    "1_1": (0.88, 1.16),
    "4_3": (1.16, 1.55),
    "16_9": (1.55, 10.0),
}
LENGTHS: dict[str, dict[str, Bounds]] = {
    "frames": {"0_120": (0, 120), "121_255": (121, 255), "256_1023": (256, 1023), "1024_inf": (1024, None)},
    "duration": {"5_10": (5, 10), "10_30": (10, 30), "30_inf": (30, None)},
}
"""The bins of cosmos-curate, which Cosmos's data loaders expect."""


@measure(version=1, cost="header")
def video_bin(
    clip_shape: ClipShape,
    *,
    resolutions: dict[str, int] = RESOLUTIONS,
    aspect_ratios: dict[str, tuple[float, float]] = ASPECT_RATIOS,
    length: Literal["frames", "duration"] = "frames",
    lengths: dict[str, Bounds] | None = None,
    keep_low: bool = False,
) -> Annotated[str, Field()]:
    """The folder of the clip's bin: `resolution_720/aspect_ratio_16_9/frames_121_255` for 1280 x 720 and 200 frames.

    Of each axis the first bin that matches, in the order given. `resolutions` are the least shorter side (px) of
    each, `aspect_ratios` the bounds of width / height as displayed (above the first, up to the second),
    `lengths` the least and the greatest number of frames (`length: frames`) or seconds (`duration`), both included.
    The defaults are cosmos-curate's. A clip below all resolutions is declined with `no resolution bin`, or with
    `keep_low` goes to `lt_` the lowest of them; `no aspect ratio bin` and `no length bin` are the other reasons, and
    `frame count unknown` where only decoding would tell it.
    """
    shorter = min(clip_shape.width_px, clip_shape.height_px)
    resolution = next((name for name, least in resolutions.items() if shorter >= least), None)
    if resolution is None and keep_low:
        resolution = f"lt_{min(resolutions, key=lambda name: resolutions[name])}"
    if resolution is None:
        raise Declined("no resolution bin", f"its shorter side is {shorter} px")
    ratio = clip_shape.width_px / clip_shape.height_px
    aspect = next((name for name, (over, most) in aspect_ratios.items() if over < ratio <= most), None)
    if aspect is None:
        raise Declined("no aspect ratio bin", f"{ratio:g}")
    count = clip_shape.frame_count if length == "frames" else clip_shape.duration_s
    if count is None:
        raise Declined("frame count unknown", "its container does not tell")
    long = _matching(count, LENGTHS[length] if lengths is None else lengths)
    if long is None:
        raise Declined("no length bin", f"{count:g} {'frames' if length == 'frames' else 's'}")
    return f"resolution_{resolution}/aspect_ratio_{aspect}/{length}_{long}"


def _matching(count: float, bins: Mapping[str, Bounds]) -> str | None:
    """The first bin that the number lies in."""
    for name, (least, most) in bins.items():
        if least <= count and (most is None or count <= most):
            return name
    return None
