"""How much is there in an image's tones?"""

from typing import Annotated

import cv2
import numpy as np

from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES, SmallGray


@measure(version=1, cost="decode", libraries=LIBRARIES)
def image_entropy(
    small_gray: SmallGray,
) -> Annotated[float, Field(unit="bits", ge=0, le=8, higher_is="more varied", bound=">= 2")]:
    """Shannon entropy of the 256-bin histogram of the small picture's luma: −Σ p log₂ p.

    From 0 for a constant picture, 1 for two tones in equal parts, to 8 where all tones are equally frequent;
    photographs lie about 7, logos and screenshots well below.
    """
    counts = cv2.calcHist([small_gray], [0], None, [256], [0, 256]).ravel().astype(np.float64)
    shares = counts[counts > 0] / small_gray.size
    return max(0.0, float(-(shares * np.log2(shares)).sum()))
