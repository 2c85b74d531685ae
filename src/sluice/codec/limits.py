"""How much a media header may promise before the bytes behind it are decoded."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.errors import LimitError


@dataclass(frozen=True, slots=True)
class Limits:
    """What one item may cost; checked against its header, before any pixel is decoded.

    `image_px`: pixels of a picture (width x height). The default, 178,956,970, is the size at which Pillow
    refuses a picture as a decompression bomb (twice `PIL.Image.MAX_IMAGE_PIXELS`, itself a quarter of a
    gigabyte at three bytes a pixel); 512 MiB of RGB. Pillow's own refusal stays in force, so a greater value
    has an effect on JPEG only.
    `image_frames`: frames of an animation; 10,000 are seven minutes at 24 frames a second.
    `encoded_bytes`: bytes of one encoded picture; 256 MiB hold 178 million pixels at 12 bits each.
    `video_px`: pixels of a video's picture; 67,108,864 (8192 x 8192) holds 8K, and a decoder that keeps the 16
    pictures it may refer to needs 1.6 GB there.
    `video_s`: seconds of a video; a day. `video_frames`: its frames; a day at 120 a second.
    """

    image_px: int = 178_956_970
    image_frames: int = 10_000
    encoded_bytes: int = 256 << 20
    video_px: int = 67_108_864
    video_s: float = 86_400.0
    video_frames: int = 10_368_000

    def check_size(self, width_px: int, height_px: int) -> None:
        """Raise LimitError where a picture of this size has more pixels than allowed."""
        if width_px * height_px > self.image_px:
            raise LimitError(
                f"{width_px} x {height_px} pixels are more than the limit of {self.image_px}",
                fix="raise the limit `image_px` if such pictures are wanted",
            )

    def check_bytes(self, size_bytes: int) -> None:
        """Raise LimitError where the encoded picture is larger than allowed."""
        if size_bytes > self.encoded_bytes:
            raise LimitError(
                f"{size_bytes} encoded bytes are more than the limit of {self.encoded_bytes}",
                fix="raise the limit `encoded_bytes` if such files are wanted",
            )

    def check_frames(self, frames: int) -> None:
        """Raise LimitError where an animation has more frames than allowed."""
        if frames > self.image_frames:
            raise LimitError(
                f"more than {self.image_frames} frames",
                fix="raise the limit `image_frames` if such animations are wanted",
            )

    def check_video_size(self, width_px: int, height_px: int) -> None:
        """Raise LimitError where a video's pictures have more pixels than allowed."""
        if width_px * height_px > self.video_px:
            raise LimitError(
                f"video of {width_px} x {height_px} pixels: more than the limit of {self.video_px}",
                fix="raise the limit `video_px` if such videos are wanted",
            )

    def check_video_length(self, duration_s: float, frames: int) -> None:
        """Raise LimitError where a video is longer, or has more frames, than allowed."""
        if duration_s > self.video_s:
            raise LimitError(
                f"video of {duration_s:.0f} s: more than the limit of {self.video_s:.0f} s",
                fix="raise the limit `video_s` if such videos are wanted",
            )
        if frames > self.video_frames:
            raise LimitError(
                f"video of more than {self.video_frames} frames",
                fix="raise the limit `video_frames` if such videos are wanted",
            )


_current = Limits()


def current_limits() -> Limits:
    """The limits in force in this process."""
    return _current


def set_limits(limits: Limits) -> Limits:
    """Put limits in force for this process (a worker does so once, when it starts); returns the former."""
    global _current
    former, _current = _current, limits
    return former
