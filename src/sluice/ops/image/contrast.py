"""Does an image have contrast?"""

import math
from typing import Annotated

import cv2

from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES, SmallGray


@measure(version=1, cost="decode", libraries=LIBRARIES)
def image_contrast(
    small_gray: SmallGray,
) -> Annotated[float, Field(unit="luma", ge=0, le=127.5, higher_is="more contrast", bound=">= 4")]:
    """RMS contrast: the standard deviation of the small picture's luma (Peli, JOSA A 7(10), 1990).

    From 0 for a constant picture to 127.5 where half of it is black and half white; photographs lie about 50.
    """
    count, total = small_gray.size, int(cv2.sumElems(small_gray)[0])
    squares = round(cv2.norm(small_gray, cv2.NORM_L2SQR))
    # In whole numbers, so that a constant picture gives exactly 0.
    return math.sqrt(count * squares - total * total) / count
