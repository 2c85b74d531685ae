"""How much of an image is faces?"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting

from sluice.operator import Field, measure
from sluice.ops.image.faces import LEAST_SCORE, Faces


@measure(version=1, cost="header")
def image_face_area_ratio(
    faces: Faces, *, min_score: Annotated[float, Setting(ge=LEAST_SCORE, le=1)] = 0.7
) -> Annotated[float, Field(unit="share", ge=0, le=1, higher_is="larger faces", bound="<= 0.4")]:
    """Area of the union of the boxes of all faces of at least `min_score`, divided by the image's; 0 without any.

    Where boxes overlap the area counts once. The boxes are those of `image_face_count`. Of the photographs
    looked at, portraits and groups had 0.02 to 0.2. The usual bound is a choice of ours.
    """
    return union_area(faces.at_least(min_score))


def union_area(boxes: NDArray[np.float64]) -> float:
    """Area that upright boxes [n, 4] (left, top, right, bottom) cover together; exact but for rounding."""
    xs, ys = np.unique(boxes[:, 0::2]), np.unique(boxes[:, 1::2])
    covered = np.zeros((max(0, len(ys) - 1), max(0, len(xs) - 1)), bool)
    for left, top, right, bottom in boxes:
        rows = slice(*np.searchsorted(ys, (top, bottom)))
        covered[rows, slice(*np.searchsorted(xs, (left, right)))] = True
    return min(1.0, float(np.diff(ys) @ covered @ np.diff(xs))) if len(boxes) else 0.0
