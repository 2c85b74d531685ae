"""How bright is an image?"""

from typing import Annotated

import cv2

from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES, SmallGray


@measure(version=1, cost="decode", libraries=LIBRARIES)
def image_exposure(
    small_gray: SmallGray,
) -> Annotated[float, Field(unit="luma", ge=0, le=255, higher_is="brighter", bound="10..245")]:
    """Mean BT.601 luma of the small picture, 0 (black) to 255 (white). A constant gray of 100 gives 100."""
    # Not cv2.mean: that can exceed 255 by a rounding.
    return float(cv2.sumElems(small_gray)[0]) / small_gray.size
