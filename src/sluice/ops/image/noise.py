"""How noisy is an image?"""

import math
from typing import Annotated

import cv2
import numpy as np

from sluice.errors import Declined
from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES, Gray

_SECOND_DIFFERENCE = np.array([1.0, -2.0, 1.0], dtype=np.float32)


@measure(version=1, cost="decode", libraries=LIBRARIES)
def image_noise(gray: Gray) -> Annotated[float, Field(unit="luma", ge=0, higher_is="noisier")]:
    """Standard deviation of the noise in the luma at native size, as Immerkær estimates it.

    "Fast noise variance estimation" (CVIU 64(2), 1996): √(π/2) / (6 (W−2)(H−2)) · Σ |I * N| over the inner
    pixels, N = [1 −2 1; −2 4 −2; 1 −2 1]. 0 for a constant picture or an even ramp; Gaussian noise of
    standard deviation 10 on mid gray gives 10 within two per cent. Fine texture counts as noise. Declined
    below 3 x 3 pixels.
    """
    height, width = gray.shape
    if min(height, width) < 3:
        raise Declined("too small", "the noise estimate needs 3 x 3 pixels")
    filtered = cv2.sepFilter2D(gray, cv2.CV_16S, _SECOND_DIFFERENCE, _SECOND_DIFFERENCE)
    total = float(cv2.norm(filtered[1:-1, 1:-1], cv2.NORM_L1))
    return float(math.sqrt(math.pi / 2) / 6 * total / ((width - 2) * (height - 2)))
