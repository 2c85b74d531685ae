"""Bytes to pixels: the only package that touches image, video and audio codecs."""

from sluice.codec.image import Picture, decode, decode_small, probe
from sluice.codec.limits import Limits, current_limits, set_limits
from sluice.codec.resize import halve, shrink
from sluice.codec.tiff import tiff_page

__all__ = [
    "Limits",
    "Picture",
    "current_limits",
    "decode",
    "decode_small",
    "halve",
    "probe",
    "set_limits",
    "shrink",
    "tiff_page",
]
