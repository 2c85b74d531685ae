"""Does an image move?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.image.pixels import Header


@measure(version=1, cost="header")
def image_animated(header: Header) -> Annotated[bool, Field(true_means="more than one frame")]:
    """True where a GIF, WebP, APNG or AVIF has more than one frame; false for the pages of a TIFF.

    Other operators see the first frame.
    """
    return header.frames > 1
