"""Does an image have contrast?"""

from typing import Annotated

import cv2

from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES, SmallGray


@measure(version=1, cost="decode", libraries=LIBRARIES)
def image_contrast(
    small_gray: SmallGray,
) -> Annotated[float, Field(unit="luma", ge=0, le=127.5, higher_is="more contrast")]:
    """RMS contrast: the standard deviation of the small picture's luma (Peli, JOSA A 7(10), 1990).

    From 0 for a constant picture to 127.5 where half of it is black and half white; photographs lie about 50.
    """
    return float(cv2.meanStdDev(small_gray)[1][0, 0])
