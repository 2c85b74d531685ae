"""How high is an image?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.image.pixels import Header


@measure(version=1, cost="header")
def image_height_px(
    header: Header,
) -> Annotated[int, Field(unit="px", ge=1, higher_is="higher", bound=">= 200")]:
    """Height as displayed, in pixels: after EXIF orientation (and crop). Read from the head of the file.

    A picture stored as 640 x 480 with orientation 6 (turned a quarter) is 640 high.
    """
    return header.height_px
