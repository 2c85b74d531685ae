"""Pillow's part: opens what is not an ordinary JPEG, and turns any pixel mode into 8-bit RGB."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from sluice.codec.exif import exif_orientation
from sluice.codec.header import ImageHeader
from sluice.codec.limits import current_limits
from sluice.codec.signature import NO_DECODER, early_size, gif_frames, signature
from sluice.errors import LimitError, StorageError, UnreadableError

# Formats of pictures as people have them. Left out are those that start other programs (EPS), that anything
# resembles (TGA), and Pillow's rarely exercised decoders.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "DIB", "AVIF", "JPEG2000", "PPM", "ICO")
_HEAD_BYTES = 4096
_ALPHA_MODES = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})
_ANIMATED = frozenset({"PNG", "WEBP", "AVIF"})


@contextmanager
def opened(file: BinaryIO) -> Iterator[tuple[Image.Image, ImageHeader]]:
    """A picture opened by Pillow and its header, within the limits; every trouble, also of the body of the
    `with`, leaves as UnreadableError or LimitError. Pillow's warnings stay inside.
    """
    head = file.read(_HEAD_BYTES)
    name = signature(head)
    _check_head(head, name)
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(file, formats=FORMATS) as image:
                current_limits().check_size(*image.size)
                yield image, _header(image, file)
        except (MemoryError, StorageError, UnreadableError):
            raise
        except Exception as error:  # whatever a decoder raises is this picture's counted failure
            raise _as_unreadable(error, head, name, file) from error


def _check_head(head: bytes, name: str | None) -> None:
    if not head:
        raise UnreadableError("empty file")
    if name in NO_DECODER:
        raise UnreadableError(
            "unsupported format", f"{name} pictures need a decoder that is not installed", fix="convert them"
        )
    size = early_size(head, name)
    if size is not None:
        current_limits().check_size(*size)


def _header(image: Image.Image, file: BinaryIO) -> ImageHeader:
    name = {"MPO": "JPEG"}.get(image.format or "", image.format or "")
    width, height = image.size
    exif = image.info.get("exif")
    orientation = exif_orientation(exif) if isinstance(exif, bytes) else 1
    if name == "TIFF":
        # Pillow gives the displayed size of a TIFF and turns its pixels by itself.
        orientation = _tiff_orientation(image)
    sideways = orientation >= 5
    stored = (height, width) if sideways and name == "TIFF" else (width, height)
    shown = (height, width) if sideways and name != "TIFF" else (width, height)
    return ImageHeader(
        width_px=shown[0],
        height_px=shown[1],
        stored_width_px=stored[0],
        stored_height_px=stored[1],
        format=name,
        mode=image.mode,
        orientation=orientation,
        frames=_frames(image, name, file),
        has_alpha=image.mode in _ALPHA_MODES or "transparency" in image.info,
        size_bytes=_size(file),
    )


def _tiff_orientation(image: Image.Image) -> int:
    value = getattr(image, "tag_v2", {}).get(0x0112, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _frames(image: Image.Image, name: str, file: BinaryIO) -> int:
    limits = current_limits()
    frames = 1
    if name == "GIF":
        at = file.tell()
        file.seek(0)
        frames = gif_frames(file.read(), limits.image_frames)
        file.seek(at)
    elif name in _ANIMATED:
        frames = int(getattr(image, "n_frames", 1))
    limits.check_frames(frames)
    return max(1, frames)


def _size(file: BinaryIO) -> int:
    at = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(at)
    return size


def _as_unreadable(error: Exception, head: bytes, name: str | None, file: BinaryIO) -> UnreadableError:
    """The counted failure that a decoder's exception stands for; the reasons are few and stable."""
    text = f"{type(error).__name__}: {error}"
    lower = text.lower()
    if isinstance(error, Image.DecompressionBombError) or "max_text" in lower or "exceeds limit" in lower:
        return LimitError(text)
    if name is None:
        # Pillow's own words for this hold an address in memory, another one each time.
        unknown = isinstance(error, UnidentifiedImageError)
        return UnreadableError(
            "not an image", "the first bytes are of no picture format" if unknown else text
        )
    if "truncated" in lower or isinstance(error, EOFError) or _ends_early(head, name, file):
        return UnreadableError("truncated", text)
    if isinstance(error, UnidentifiedImageError):
        text = f"the file begins like {name} but its header is damaged"
    return UnreadableError("corrupt", text)


def _ends_early(head: bytes, name: str, file: BinaryIO) -> bool:
    """Whether the file is shorter than its container says, or than any picture of its format."""
    try:
        size = _size(file)
    except (OSError, ValueError):
        return False
    if name == "WEBP":
        return size < 8 + int.from_bytes(head[4:8], "little")
    return size < 26


def to_rgb(image: Image.Image, header: ImageHeader) -> NDArray[np.uint8]:
    """The pixels of an opened picture as 8-bit RGB [H, W, 3], turned upright, transparency over white."""
    image.load()
    pixels = _convert(image)
    # A TIFF comes turned already.
    return pixels if header.format == "TIFF" else oriented(pixels, header.orientation)


def _convert(image: Image.Image) -> NDArray[np.uint8]:
    mode = image.mode
    if mode.startswith("I;16"):
        return _gray_to_rgb(scale_16(np.asarray(image)))
    if mode == "I":
        values = np.asarray(image)
        fits = bool(((values >= 0) & (values <= 0xFFFF)).all())
        return _gray_to_rgb(scale_16(values) if fits else stretch(values))
    if mode == "F":
        values = np.asarray(image)
        unit = bool(((values >= 0) & (values <= 1)).all())
        return _gray_to_rgb(np.rint(values * 255).astype(np.uint8) if unit else stretch(values))
    if mode in _ALPHA_MODES or "transparency" in image.info:
        shown = image if mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", shown.size, (255, 255, 255))
        white.paste(shown.convert("RGB"), mask=shown.getchannel("A"))
        return np.asarray(white)
    if mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        turned = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        return np.asarray(turned)
    return np.asarray(image if mode == "RGB" else image.convert("RGB"))


def scale_16(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """16-bit values to 8 bits, 65535 to 255, rounded half up."""
    return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def stretch(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Values without a fixed white (32-bit, float) to 0-255 from their least to their greatest; NaN is 0."""
    known = np.where(np.isfinite(values), values, 0).astype(np.float64)
    low, high = known.min(), known.max()
    if high <= low:
        return np.zeros(known.shape, np.uint8)
    scaled: NDArray[np.uint8] = np.rint((known - low) * (255.0 / (high - low))).astype(np.uint8)
    return scaled


def _gray_to_rgb(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.broadcast_to(gray[:, :, None], (*gray.shape, 3)))


def oriented(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn and mirror pixels [H, W, ...] as EXIF orientation 1-8 asks, to show them as they were seen."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
