"""How a stored picture is turned before it is shown: display matrices."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sluice.errors import UnreadableError
from sluice.sample.media import Crop

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


@dataclass(frozen=True, slots=True)
class Orientation:
    """The stored picture is mirrored left to right where `mirrored`, then turned clockwise by `rotation_deg`.

    `rotation_deg` is 0, 90, 180 or 270; other angles of a display matrix go to the nearest of these.
    """

    rotation_deg: int = 0
    mirrored: bool = False

    @property
    def is_upright(self) -> bool:
        """Whether the picture is shown as stored."""
        return self.rotation_deg == 0 and not self.mirrored

    @property
    def swaps(self) -> bool:
        """Whether width and height change places."""
        return self.rotation_deg in (90, 270)

    def applied(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A view of stored pixels [H, W, …] as they are shown."""
        if self.mirrored:
            pixels = pixels[:, ::-1]
        return np.rot90(pixels, -self.rotation_deg // 90) if self.rotation_deg else pixels

    def shown_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height as shown, of stored ones; the same the other way round."""
        return (height, width) if self.swaps else (width, height)

    def stored_crop(self, crop: Crop, width: int, height: int) -> Crop:
        """A crop in pixels as shown as a crop of the stored picture of `width` x `height`.

        Raises UnreadableError where it does not lie inside the picture.
        """
        left, top, wide, high = crop
        shown_width, shown_height = self.shown_size(width, height)
        inside = left >= 0 and top >= 0 and wide > 0 and high > 0
        if not inside or left + wide > shown_width or top + high > shown_height:
            raise UnreadableError(
                "crop outside the picture", f"crop {crop} of {shown_width} x {shown_height} pixels"
            )
        right, bottom = shown_width - left - wide, shown_height - top - high
        x, y, w, h = {
            0: (left, top, wide, high),
            90: (top, right, high, wide),
            180: (right, bottom, wide, high),
            270: (bottom, left, high, wide),
        }[self.rotation_deg]
        return (width - x - w if self.mirrored else x), y, w, h


UPRIGHT = Orientation()


def orientation(frame: VideoFrame) -> Orientation:
    """How a frame is to be shown, by its display matrix (ISO/IEC 14496-12, 8.3.2; FFmpeg's libavutil/display.h)."""
    side_data: Any = frame.side_data
    for data in side_data:
        if data.type.name == "DISPLAYMATRIX":
            return from_matrix(bytes(data))
    return UPRIGHT


def from_matrix(matrix: bytes) -> Orientation:
    """The orientation of nine native 32-bit integers a b u c d v x y w, of which a, b, c and d turn the picture."""
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    if not (a or b):
        return UPRIGHT
    mirrored = a * d - b * c < 0
    angle = math.degrees(math.atan2(-b, -a) if mirrored else math.atan2(b, a))
    return Orientation(round(angle / 90) % 4 * 90, mirrored)
