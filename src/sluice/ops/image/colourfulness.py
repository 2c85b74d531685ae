"""How colourful is an image?"""

import math
from typing import Annotated

import cv2
import numpy as np

from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES, Small

_OPPONENT_AXES = np.array([[1.0, -1.0, 0.0], [0.5, 0.5, -1.0]], dtype=np.float32)


@measure(version=1, cost="decode", libraries=LIBRARIES)
def image_colourfulness(
    small: Small,
) -> Annotated[float, Field(unit="score", ge=0, higher_is="more colourful")]:
    """Hasler and Süsstrunk's M3 (Measuring colourfulness in natural images, SPIE 5007, 2003), small size.

    With rg = R − G and yb = (R + G)/2 − B: √(σ²rg + σ²yb) + 0.3 √(μ²rg + μ²yb). Their scale: 0 not colourful
    (any gray picture is 0), 15 slightly, 33 moderately, 45 averagely, 59 quite, 82 highly, 109 extremely.
    """
    opponent = cv2.transform(small.astype(np.float32), _OPPONENT_AXES)
    means, deviations = cv2.meanStdDev(opponent)
    return math.hypot(*deviations[:, 0]) + 0.3 * math.hypot(*means[:, 0])
