"""How much of an image is burnt out?"""

from typing import Annotated

import numpy as np
from pydantic import Field as Setting

from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES, SmallGray


@measure(version=1, cost="decode", libraries=LIBRARIES)
def image_overexposed_ratio(
    small_gray: SmallGray, *, min_luma: Annotated[int, Setting(ge=0, le=255)] = 250
) -> Annotated[float, Field(unit="share", ge=0, le=1, higher_is="more burnt out", bound="<= 0.9")]:
    """Share of the small picture's pixels whose luma is at least `min_luma`; 1 for a white picture.

    The default is the highest two per cent of the 8-bit range (250 of 255), our choice, the mirror of
    `image_underexposed_ratio`. White paper and transparent backgrounds count as burnt out.
    """
    return float(np.count_nonzero(small_gray >= min_luma)) / small_gray.size
