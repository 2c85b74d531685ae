"""How saturated are an image's colours?"""

from typing import Annotated

import cv2

from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES, Small


@measure(version=1, cost="decode", libraries=LIBRARIES)
def image_saturation(
    small: Small,
) -> Annotated[float, Field(unit="share", ge=0, le=1, higher_is="more saturated")]:
    """Mean saturation of the small picture in HSV (Smith 1978): (max − min) / max of R, G, B, 0 where black.

    From 0 for any gray picture to 1 for pure colours; in steps of 1/255 a pixel.
    """
    hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
    height, width = small.shape[:2]
    return float(cv2.sumElems(hsv)[1] / (255 * height * width))
