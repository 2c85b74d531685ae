"""One decoded frame: its time, and its pixels in the forms that are asked for."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sluice.codec.video.motion_vectors import MotionVectors, motion_vectors
from sluice.codec.video.orientation import UPRIGHT, Orientation
from sluice.sample.media import Crop

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Pixels = NDArray[np.uint8]

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_UNSPECIFIED_COLOUR = 2  # AVCOL_SPC_UNSPECIFIED


class Scalers:
    """One scaler a target size and format, shared by all frames of a decode: making one costs more than using it."""

    def __init__(self) -> None:
        self._scalers: dict[tuple[int, int, str], Any] = {}
        self._lock = threading.Lock()

    def scaled(self, image: VideoFrame, width: int, height: int, pixel_format: str) -> Pixels:
        """A frame's pixels at a size, by area averaging, as stored (not turned)."""
        if image.width > _MOST_SHRUNK * width or image.height > _MOST_SHRUNK * height:
            between = min(image.width, width * _BETWEEN), min(image.height, height * _BETWEEN)
            return np.asarray(_resized(self.scaled(image, *between, pixel_format), width, height), np.uint8)
        from av.video.reformatter import Colorspace, VideoReformatter

        with self._lock:
            key = (width, height, pixel_format)
            scaler = self._scalers.get(key)
            if scaler is None:
                scaler = self._scalers[key] = VideoReformatter()
            same = width == image.width and height == image.height
            grows = width > image.width or height > image.height
            grey = pixel_format == "gray"
            guessed = Colorspace.ITU601 if grey else None  # any, the same on both sides
            if not grey and image.colorspace == _UNSPECIFIED_COLOUR:
                guessed = Colorspace.ITU709 if _is_high_definition(image) else Colorspace.ITU601
            made = scaler.reformat(
                image,
                width=width,
                height=height,
                format=pixel_format,
                src_colorspace=guessed,
                interpolation=_way(same and image.format.components[0].bits == 8, grows),
                dst_colorspace=guessed if grey else None,
                src_color_range=_FULL_RANGE
                if grey
                else None,  # luma is scaled as it is, its range expanded after
                dst_color_range=_FULL_RANGE if grey else None,
                threads=1,
            )
        return np.asarray(made.to_ndarray(), np.uint8)


@cache
def _way(is_same: bool, grows: bool) -> Any:
    """How to scale: 8 bits at the same size by FFmpeg's fast path, within 3 levels; smaller by area, exactly.

    Without `_WHOLE_CHROMA` neighbours would share chroma, which at small sizes is another part of the picture.
    """
    from av.video.reformatter import Interpolation

    if is_same:
        return Interpolation.BILINEAR
    return (Interpolation.BILINEAR if grows else Interpolation.AREA) | _WHOLE_CHROMA


_MOST_SHRUNK = 100  # swscale's filters have 256 taps at most: beyond that its areas are wrong
_BETWEEN = 16
_WHOLE_CHROMA = 0x40000 | 0x2000  # SWS_ACCURATE_RND, SWS_FULL_CHR_H_INT


def _is_high_definition(image: VideoFrame) -> bool:
    """Whether a picture that does not say so is of BT.709: by its size, as players guess it."""
    return image.width >= 1280 or image.height > 576


@dataclass(frozen=True, slots=True)
class Look:
    """What all frames of a decode have in common: how they are turned, cropped and scaled.

    `sample_aspect_ratio` is the width of a stored pixel over its height. `exports_vectors`: motion vectors were
    asked for, and the codec has them.
    """

    orientation: Orientation = UPRIGHT
    crop: Crop | None = None
    sample_aspect_ratio: Fraction = Fraction(1)
    exports_vectors: bool = False

    def shown_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what `rgb` gives of a stored picture: cropped, of square pixels, turned."""
        if self.crop is not None:
            _, _, width, height = self.orientation.stored_crop(self.crop, width, height)
        return self.orientation.shown_size(max(1, round(width * self.sample_aspect_ratio)), height)


class Frame:
    """One frame of a video. Its pixels are made when they are asked for, and kept; no array may be written to.

    `time_s`: seconds since the first frame of the source. `pts`: the same in ticks, as the container has it.
    `duration_s`: until the next frame, or as the container says where there is none. `index`: its place among the
    frames that it was given with, from 0. `is_key`: it can be decoded by itself.
    """

    __slots__ = (
        "_image",
        "_look",
        "_luma",
        "_made",
        "_scalers",
        "duration_s",
        "index",
        "is_key",
        "pts",
        "time_s",
    )

    def __init__(
        self,
        image: VideoFrame,
        look: Look,
        scalers: Scalers,
        *,
        time_s: float,
        pts: int,
        duration_s: float,
        index: int,
    ) -> None:
        self.time_s, self.pts, self.duration_s, self.index = time_s, pts, duration_s, index
        self.is_key: bool = image.key_frame
        self._image, self._look, self._scalers = image, look, scalers
        self._luma: Pixels | None = None
        self._made: dict[tuple[int, int, str], Pixels] = {}

    @property
    def image(self) -> VideoFrame:
        """PyAV's frame, as stored: neither turned nor cropped."""
        return self._image

    @property
    def orientation(self) -> Orientation:
        """How the stored picture is turned before it is shown."""
        return self._look.orientation

    @property
    def stored_crop(self) -> Crop:
        """Left, top, width and height of the part of the stored picture that is shown."""
        width, height = self._image.width, self._image.height
        if self._look.crop is None:
            return 0, 0, width, height
        return self._look.orientation.stored_crop(self._look.crop, width, height)

    @property
    def luma(self) -> Pixels:
        """Luma [H, W] from 0 (black) to 255 (white), turned and cropped; pixels may not be square.

        The stored luma, its range expanded (16-235 to 0-255 where the video has the limited range). Of RGB its
        BT.601 luma. Tones are left alone: of HDR the PQ or HLG signal itself.
        """
        if self._luma is None:
            stored, levels = self._stored_luma()
            self._luma = np.ascontiguousarray(self._look.orientation.applied(levels.full(stored)))
        return self._luma

    def rgb(self, max_side_px: int | None = None) -> Pixels:
        """RGB [H, W, 3] as shown: turned, cropped, pixels made square.

        Scaled down by area where its longer side is more than `max_side_px`; never up. Colours by the matrix the
        video names; where it names none BT.709 from 1280 x 720 on, else BT.601. Tones are left alone (HDR is not
        mapped to SDR).
        """
        width, height = self._look.shown_size(self._image.width, self._image.height)
        longest = max(width, height)
        if max_side_px is not None and longest > max_side_px:
            width = max(1, round(width * max_side_px / longest))
            height = max(1, round(height * max_side_px / longest))
        return self._scaled_rgb(width, height)

    def small(self, width_px: int, height_px: int) -> Pixels:
        """Luma [height_px, width_px], as `luma` scaled to exactly this size by area averaging."""
        key = (width_px, height_px, "luma")
        made = self._made.get(key)
        if made is None:
            size = self._look.orientation.shown_size(width_px, height_px)
            layout = _luma_layout(self._image.format.name)
            if self._look.crop is None and layout is not None:
                grey = self._scalers.scaled(self._image, *size, "gray")
                scaled = _Levels.of(8, 0, self._is_full(layout)).full(grey)
            else:
                stored, levels = self._stored_luma()
                scaled = levels.full(_resized(stored, *size))
            made = self._made[key] = np.ascontiguousarray(self._look.orientation.applied(scaled))
        return made

    def small_rgb(self, width_px: int, height_px: int) -> Pixels:
        """RGB [height_px, width_px, 3]: what `rgb` shows, scaled to exactly this size."""
        return self._scaled_rgb(width_px, height_px)

    @property
    def motion_vectors(self) -> MotionVectors | None:
        """The codec's motion vectors; None where they were not asked for or the codec has none to give."""
        return motion_vectors(self._image) if self._look.exports_vectors else None

    def _scaled_rgb(self, width: int, height: int) -> Pixels:
        key = (width, height, "rgb24")
        made = self._made.get(key)
        if made is None:
            look, image = self._look, self._image
            size = look.orientation.shown_size(width, height)
            if look.crop is None:
                scaled = self._scalers.scaled(image, *size, "rgb24")
            else:
                whole = self._scalers.scaled(image, image.width, image.height, "rgb24")
                scaled = _resized(self._cropped(whole), *size)
            made = self._made[key] = np.ascontiguousarray(look.orientation.applied(scaled))
        return made

    def _cropped(self, stored: NDArray[Any]) -> NDArray[Any]:
        if self._look.crop is None:
            return stored
        x, y, w, h = self.stored_crop
        return stored[y : y + h, x : x + w]

    def _is_full(self, layout: _LumaLayout) -> bool:
        return layout.is_full or self._image.color_range == _FULL_RANGE

    def _stored_luma(self) -> tuple[NDArray[Any], _Levels]:
        """The luma as stored but cropped, and what makes full-range 8-bit values of it."""
        image = self._image
        layout = _luma_layout(image.format.name)
        if layout is None:
            whole = self._scalers.scaled(image, image.width, image.height, "rgb24")
            return cv2.cvtColor(np.ascontiguousarray(self._cropped(whole)), cv2.COLOR_RGB2GRAY), _Levels()
        plane: Any = image.planes[0]
        rows = np.frombuffer(plane, layout.dtype).reshape(-1, plane.line_size // layout.dtype.itemsize)
        stored = self._cropped(rows[: image.height, : image.width])
        return stored, _Levels.of(layout.bits, layout.shift, self._is_full(layout))


@dataclass(frozen=True, slots=True)
class _LumaLayout:
    """How the first plane of a pixel format holds luma: `bits` a value, shifted up by `shift`."""

    dtype: np.dtype[Any]
    bits: int
    shift: int = 0
    is_full: bool = False


@cache
def _luma_layout(pixel_format: str) -> _LumaLayout | None:
    """The layout of luma in a plane of its own; None for formats that have no such plane (RGB, packed, palettes)."""
    from av.video.format import VideoFormat

    kind = VideoFormat(pixel_format)
    planar = pixel_format.startswith(("yuv4", "yuva4", "yuvj4", "gray", "nv", "p0", "p2", "p4"))
    packed = pixel_format.startswith(("yuyv", "yuva4444"))
    if not planar or packed or kind.is_big_endian or "f32" in pixel_format or "f16" in pixel_format:
        return None
    bits = kind.components[0].bits
    is_full = pixel_format.startswith(("yuvj", "gray"))
    if bits == 8:
        return _LumaLayout(np.dtype(np.uint8), 8, is_full=is_full)
    shift = 16 - bits if pixel_format.startswith(("p0", "p2", "p4")) or "msb" in pixel_format else 0
    return _LumaLayout(np.dtype("<u2"), bits, shift, is_full)


@dataclass(frozen=True, slots=True)
class _Levels:
    """Which stored values are black (0) and white (255)."""

    black: float = 0.0
    white: float = 255.0

    @classmethod
    def of(cls, bits: int, shift: int, is_full: bool) -> _Levels:
        """Limited range is 16 to 235 of 8 bits, and as much of more (BT.601, BT.709, BT.2100)."""
        if is_full:
            return cls(0.0, float(((1 << bits) - 1) << shift))
        scale = 1 << (bits - 8 + shift)
        return cls(16.0 * scale, 235.0 * scale)

    def full(self, stored: NDArray[Any]) -> Pixels:
        """Stored values from 0 (black) to 255 (white), rounded; beyond that they are cut off."""
        if (self.black, self.white) == (0.0, 255.0) and stored.dtype == np.uint8:
            return stored
        black: Any = self.black
        above = cv2.subtract(stored, black) if self.black else stored  # never below 0
        return np.asarray(cv2.convertScaleAbs(above, alpha=255.0 / (self.white - self.black)), np.uint8)


def _resized(pixels: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    if pixels.shape[:2] == (height, width):
        return pixels
    pixels = np.ascontiguousarray(pixels)
    shrinks = width <= pixels.shape[1] and height <= pixels.shape[0]
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
