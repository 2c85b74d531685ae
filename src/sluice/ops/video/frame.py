"""The features that operators on frames of a video share: each frame as a picture."""

from __future__ import annotations

from typing import Any

from sluice.codec.image import PictureInHand
from sluice.codec.thumbnail import encode_png
from sluice.operator import feature
from sluice.ops.image.pixels import Picture
from sluice.sample import Media

LIBRARIES = ("av", "opencv-python-headless", "numpy")


@feature(scope="frame", version=1, cost="decode", libraries=LIBRARIES)
def picture(frame: Any) -> Picture:
    """All pixels of the frame as shown: turned, cropped, made square; RGB, 8 bits. HDR is not mapped to SDR."""
    return PictureInHand(frame.rgb())


@feature(scope="frame", version=1, cost="decode", libraries=("pillow",))
def encoded(picture: Picture) -> bytes:
    """The frame as a PNG, for operators that take a picture's bytes: nothing is lost by it."""
    return encode_png(picture.rgb())


@feature(scope="frame", version=1, cost="decode")
def media(encoded: bytes) -> Media:
    """The frame's PNG as a view of media."""
    return Media(data=encoded)
