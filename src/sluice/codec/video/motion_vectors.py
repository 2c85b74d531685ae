"""The motion vectors that a codec wrote, as FFmpeg exports them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

MotionVectors = NDArray[np.void]
"""One row a block (a bi-predicted block has two), of `MOTION_VECTOR`, FFmpeg's AVMotionVector
(libavutil/motion_vector.h):

`source`: where it points from: negative for the past, positive for the future. `w`, `h`: the block's size in
pixels. `src_x`, `src_y`, `dst_x`, `dst_y`: the block's centre in the picture it came from and in this one, in pixels
of the stored picture (not turned, not cropped). `motion_x` ÷ `motion_scale`, `motion_y` ÷ `motion_scale`: the vector
in pixels, as fine as the codec has it.
"""

MOTION_VECTOR = np.dtype(
    [
        ("source", np.int32),
        ("w", np.uint8),
        ("h", np.uint8),
        ("src_x", np.int16),
        ("src_y", np.int16),
        ("dst_x", np.int16),
        ("dst_y", np.int16),
        ("flags", np.uint64),
        ("motion_x", np.int32),
        ("motion_y", np.int32),
        ("motion_scale", np.uint16),
    ],
    align=True,
)

EXPORTING_CODECS = frozenset(
    {"flv1", "h261", "h263", "h263i", "h263p", "h264", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v1"}
    | {"msmpeg4v2", "msmpeg4v3", "rv10", "rv20", "wmv1", "wmv2"}
)
"""Codecs whose decoders in FFmpeg export vectors; of any other there are none, which is not the same as no motion."""

_NONE_MOVED = np.zeros(0, MOTION_VECTOR)


def motion_vectors(frame: VideoFrame) -> MotionVectors:
    """A frame's vectors; an empty array where it has none (intra pictures)."""
    side_data: Any = frame.side_data
    for data in side_data:
        if data.type.name == "MOTION_VECTORS":
            return np.frombuffer(bytes(data), MOTION_VECTOR)
    return _NONE_MOVED
