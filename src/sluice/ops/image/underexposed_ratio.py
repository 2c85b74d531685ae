"""How much of an image is too dark to see?"""

from typing import Annotated

import numpy as np
from pydantic import Field as Setting

from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES, SmallGray


@measure(version=1, cost="decode", libraries=LIBRARIES)
def image_underexposed_ratio(
    small_gray: SmallGray, *, max_luma: Annotated[int, Setting(ge=0, le=255)] = 5
) -> Annotated[float, Field(unit="share", ge=0, le=1, higher_is="darker", bound="<= 0.9")]:
    """Share of the small picture's pixels whose luma is at most `max_luma`; 1 for a black picture.

    The default is the lowest two per cent of the 8-bit range (5 of 255), our choice: half of where the sRGB
    curve is a straight line (IEC 61966-2-1: below 0.04045, or 10 of 255), and mostly noise.
    """
    return float(np.count_nonzero(small_gray <= max_luma)) / small_gray.size
