"""Pictures: from encoded bytes to a header, to all pixels, or to few pixels."""

from __future__ import annotations

import io
from typing import BinaryIO

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from sluice.codec.header import ImageHeader
from sluice.codec.jpeg import JpegHead, jpeg_head
from sluice.codec.limits import current_limits
from sluice.codec.raster import opened, oriented, to_rgb
from sluice.codec.resize import shrink
from sluice.errors import UnreadableError
from sluice.sample.media import Crop

DEFINITION = 1
"""Version of what the pixels mean; raised when this package's pixels change, so that values are made anew."""

_HEAD_BYTES = 1 << 14
_LARGEST_HEAD_BYTES = 1 << 22
_DCT_FACTORS = (8, 4)


def probe(file: BinaryIO | bytes) -> ImageHeader:
    """The header of a picture, without decoding pixels; reads only the head of a JPEG.

    `file` is seekable and stands at its beginning. Raises UnreadableError with the reason `empty file`,
    `not an image`, `truncated`, `corrupt` or `unsupported format`, and LimitError (reason `bomb`).
    """
    if isinstance(file, bytes):
        file = io.BytesIO(file)
    data = file.read(_HEAD_BYTES)
    head = jpeg_head(data)
    while isinstance(head, int) and head <= _LARGEST_HEAD_BYTES:
        more = file.read(max(head - len(data), _HEAD_BYTES))
        if not more:
            break
        data += more
        head = jpeg_head(data)
    if isinstance(head, JpegHead):
        return _jpeg_header(head, file.seek(0, io.SEEK_END))
    file.seek(0)
    with opened(file) as (_, header):
        current_limits().check_bytes(header.size_bytes)
        return header


def _jpeg_header(head: JpegHead, size_bytes: int) -> ImageHeader:
    limits = current_limits()
    limits.check_bytes(size_bytes)
    limits.check_size(head.width_px, head.height_px)
    width, height = head.width_px, head.height_px
    if head.orientation >= 5:
        width, height = height, width
    return ImageHeader(
        width_px=width,
        height_px=height,
        stored_width_px=head.width_px,
        stored_height_px=head.height_px,
        format="JPEG",
        mode=head.mode,
        orientation=head.orientation,
        size_bytes=size_bytes,
    )


def decode(data: bytes) -> NDArray[np.uint8]:
    """All pixels as uint8 RGB [H, W, 3] in the picture's own colour space (ICC profiles are not applied).

    EXIF orientation is applied; transparency is laid over white; of an animation the first frame; 16-bit
    values are scaled so that 65535 is 255; 32-bit and float pictures, which have no fixed white, are taken as
    16-bit or as 0-1 where they fit, and stretched otherwise; CMYK as Pillow converts it. A JPEG is decoded
    strictly first; where the strict decoder complains, the tolerant one decides, and it too refuses what
    ends early. Raises UnreadableError and LimitError as `probe` does, before pixels where the header tells.
    """
    current_limits().check_bytes(len(data))
    head = jpeg_head(data)
    if isinstance(head, JpegHead):
        pixels = _decode_jpeg(data, head)
        if pixels is not None:
            return oriented(pixels, head.orientation)
    with opened(io.BytesIO(data)) as (image, header):
        return to_rgb(image, header)


def _decode_jpeg(data: bytes, head: JpegHead, min_side_px: int = 0) -> NDArray[np.uint8] | None:
    """Pixels as stored, or None where the strict decoder will not have them."""
    current_limits().check_size(head.width_px, head.height_px)
    if head.mode == "CMYK":
        return None
    try:
        pixels = simplejpeg.decode_jpeg(data, min_height=min_side_px, min_width=min_side_px)
    except (ValueError, RuntimeError, OverflowError):
        return None
    return np.asarray(pixels, dtype=np.uint8)


def decode_small(data: bytes, min_side_px: int = 256) -> NDArray[np.uint8]:
    """Few pixels: uint8 RGB whose shorter side is `min_side_px`, or the whole picture where it is smaller.

    The definition, for every picture: decoded whole, then `codec.resize.shrink`. Except a JPEG whose shorter
    side is at least 8 x `min_side_px` (16 x): it is decoded at a quarter (an eighth) of its size by the
    decoder's own scaled transform, then shrunk. Half size is not used: it saves a tenth of the time
    of decoding whole, and no pass that needs both could share them.
    """
    return Picture(data).small(min_side_px)


class Picture:
    """One picture's bytes, decoded when first asked for pixels and never twice.

    `crop` narrows it to a part of the displayed picture. What `small` gives depends on the bytes and its size
    alone, whether or not `rgb` was asked for before.
    """

    def __init__(self, data: bytes, crop: Crop | None = None) -> None:
        self._data, self._crop = data, crop
        self._rgb: NDArray[np.uint8] | None = None
        self._luma: NDArray[np.uint8] | None = None
        self._known_scaled: tuple[int, NDArray[np.uint8] | None] | None = None

    def rgb(self) -> NDArray[np.uint8]:
        """All pixels of the view, as `decode` defines them."""
        if self._rgb is None:
            pixels = decode(self._data)
            self._rgb = _cropped(pixels, self._crop) if self._crop else pixels
        return self._rgb

    def small(self, min_side_px: int) -> NDArray[np.uint8]:
        """Few pixels of the view, as `decode_small` defines them (a crop is cut from all pixels)."""
        scaled = self._scaled(min_side_px)
        return shrink(self.rgb() if scaled is None else scaled, min_side_px)

    def luma(self) -> NDArray[np.uint8]:
        """uint8 [H, W] of all pixels: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), as OpenCV rounds it."""
        if self._luma is None:
            self._luma = luma(self.rgb())
        return self._luma

    def small_luma(self, min_side_px: int) -> NDArray[np.uint8]:
        """Luma of few pixels: as `small`, but taken before shrinking, which costs a third."""
        scaled = self._scaled(min_side_px)
        return shrink(self.luma() if scaled is None else luma(scaled), min_side_px)

    def _scaled(self, min_side_px: int) -> NDArray[np.uint8] | None:
        if self._crop:
            return None
        if self._known_scaled is None or self._known_scaled[0] != min_side_px:
            self._known_scaled = (min_side_px, _decode_scaled(self._data, min_side_px))
        return self._known_scaled[1]


class PictureInHand(Picture):
    """A picture whose pixels (uint8 RGB [H, W, 3]) are in hand already, such as a frame of a video."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        super().__init__(b"")
        self._rgb = pixels

    def _scaled(self, min_side_px: int) -> NDArray[np.uint8] | None:
        return None


def _decode_scaled(data: bytes, min_side_px: int) -> NDArray[np.uint8] | None:
    head = jpeg_head(data)
    if not isinstance(head, JpegHead):
        return None
    short = min(head.width_px, head.height_px)
    for factor in _DCT_FACTORS:
        if short >= 2 * factor * min_side_px:
            current_limits().check_bytes(len(data))
            # The decoder rounds sizes up, so its least scale with this many pixels is 1 / factor.
            pixels = _decode_jpeg(data, head, -(-short // factor))
            return None if pixels is None else oriented(pixels, head.orientation)
    return None


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BT.601 luma [H, W] of RGB [H, W, 3]."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _cropped(pixels: NDArray[np.uint8], crop: Crop) -> NDArray[np.uint8]:
    left, top, width, height = crop
    part = pixels[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
    if part.shape[:2] != (height, width) or not part.size:
        shown = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise UnreadableError("crop outside the picture", f"crop {crop} of {shown} pixels")
    return np.ascontiguousarray(part)
