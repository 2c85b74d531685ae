"""What the head of an image file says, without decoding a pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sluice.errors import UnreadableError


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What is known of a picture before its pixels.

    `width_px` and `height_px` are those displayed (EXIF orientation and crop applied), `stored_width_px` and
    `stored_height_px` those in the file. `format` is Pillow's name for it ("JPEG", "PNG", …; a multi-picture
    MPO is the JPEG that it begins with); `mode` Pillow's name of the stored pixels ("RGB", "L", "CMYK", …).
    `orientation` is EXIF's (1-8), `frames` the pictures of an animation (1 for a still, also for a TIFF of
    many pages). `has_alpha`: the file declares an alpha channel or a transparent colour. `size_bytes` are the
    encoded bytes of the whole file.
    """

    width_px: int
    height_px: int
    stored_width_px: int
    stored_height_px: int
    format: str
    mode: str
    orientation: int = 1
    frames: int = 1
    has_alpha: bool = False
    size_bytes: int = 0

    def cropped(self, crop: tuple[int, int, int, int] | None) -> ImageHeader:
        """The header of a view that shows only `crop` (left, top, width, height in displayed pixels)."""
        if crop is None:
            return self
        left, top, width, height = crop
        inside = left >= 0 and top >= 0 and width > 0 and height > 0
        if not inside or left + width > self.width_px or top + height > self.height_px:
            raise UnreadableError(
                "crop outside the picture", f"crop {crop} of {self.width_px} x {self.height_px} pixels"
            )
        return replace(self, width_px=width, height_px=height)
