"""How much of an image is written text?"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES
from sluice.ops.image.text_boxes import TextBoxes

_CELLS = 1024


@measure(version=1, cost="header", scope="image", libraries=LIBRARIES)
def image_text_area_ratio(
    text_boxes: TextBoxes,
) -> Annotated[float, Field(unit="share", ge=0, le=1, higher_is="more text", bound="<= 0.2")]:
    """Area of the union of the boxes of all lines of text, divided by the image's; 0 where none is found.

    Boxes come from the feature `text_boxes` (`with: {text_boxes: {…}}` sets its models and size), so that
    other operators on text share one detection. Where boxes overlap the area counts once; it is counted on
    1,024 x 1,024 points. Of the pictures looked at, scanned pages had 0.2 to 0.6, screenshots about 0.12, photographs
    with signs below 0.06. The usual bound is a choice of ours.
    """
    return covered(text_boxes.quads)


def covered(quads: NDArray[np.float64]) -> float:
    """Share of the unit square that convex quadrangles [n, 4, 2] cover together, by 1,024 x 1,024 points."""
    hit = np.zeros((_CELLS, _CELLS), bool)
    for quad in quads * _CELLS:
        first, past = (np.floor(quad.min(axis=0)).astype(int), np.ceil(quad.max(axis=0)).astype(int))
        (left, top), (right, bottom) = first.clip(0, _CELLS), past.clip(0, _CELLS)
        x, y = np.arange(left, right) + 0.5, np.arange(top, bottom)[:, None] + 0.5
        edges = np.roll(quad, -1, axis=0) - quad
        sides = [dx * (y - cy) - dy * (x - cx) for (cx, cy), (dx, dy) in zip(quad, edges, strict=True)]
        inside = np.all([side >= 0 for side in sides], axis=0) | np.all([side <= 0 for side in sides], axis=0)
        hit[top:bottom, left:right] |= inside
    return float(hit.mean())
