"""Is an image wide or tall?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.image.pixels import Header


@measure(version=1, cost="header")
def image_aspect_ratio(
    header: Header,
) -> Annotated[float, Field(unit="width/height", ge=0, higher_is="wider", bound="0.333..3")]:
    """Displayed width divided by displayed height: 1 is a square, 1.333 is 640 x 480, 0.75 its portrait.

    The customary bounds are 1/3 to 3 (Data-Juicer Sandbox, table 3).
    """
    return header.width_px / header.height_px
