"""How does an image lose what it tells about who took it, where and when?"""

from sluice.codec.strip import strip_metadata
from sluice.operator import mapper


@mapper(version=1, cost="header")
def image_strip_metadata(encoded: bytes) -> bytes:
    """The JPEG, PNG or WebP without EXIF, GPS, XMP, IPTC, comments, thumbnails and what follows its end.

    Coded pixels are copied byte for byte, so that the image decodes as before. What says how they are shown
    stays: colour profile, gamma, transparency, frames, and an EXIF orientation other than 1 as the only entry
    of a new EXIF block. Images of other formats, and damaged ones, fail and are not written: their metadata
    cannot be taken out for certain. Text inside the pixels, or hidden in them, stays.
    """
    return strip_metadata(encoded)
