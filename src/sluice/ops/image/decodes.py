"""Can all of an image be decoded?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.image.pixels import Rgb


@measure(version=1, cost="decode")
def image_decodes(rgb: Rgb) -> Annotated[bool, Field(true_means="every pixel was decoded")]:
    """True where every pixel was decoded; an image that cannot be is a counted failure, never false.

    This is what `check: full` asks for: a head can be sound where the pixels are cut off.
    """
    return rgb.size > 0
