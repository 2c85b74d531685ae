"""Can one see through an image?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.image.pixels import Header


@measure(version=1, cost="header")
def image_has_alpha(header: Header) -> Annotated[bool, Field(true_means="may be transparent")]:
    """True where the file declares an alpha channel or a transparent colour, whether or not a pixel uses it.

    Operators on pixels see transparency laid over white. Always false for JPEG.
    """
    return header.has_alpha
