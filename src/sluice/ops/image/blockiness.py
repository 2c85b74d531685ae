"""Does compression show as blocks?"""

from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sluice.errors import Declined
from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES, Gray

_BLOCK_PX = 8


@measure(version=1, cost="decode", libraries=LIBRARIES)
def image_blockiness(gray: Gray) -> Annotated[float, Field(unit="ratio", ge=0, higher_is="blockier")]:
    """How much larger steps in luma are across the edges of JPEG's 8 x 8 blocks than inside them.

    (B + 1) / (A + 1), B the mean absolute difference of neighbouring pixels on either side of a block edge, A
    that of all other neighbours, over rows and columns; the idea of Wang, Sheikh and Bovik, "No-reference
    perceptual quality assessment of JPEG compressed images" (ICIP 2002), with one level added so that flat
    pictures are defined. 1 for a constant picture and about 1 without visible blocks; a photograph at JPEG
    quality 10 lies above 1.5. The grid is sought from the top left corner: cropping or scaling after
    compression hides it. Declined below 16 x 16 pixels.
    """
    if min(gray.shape) < 2 * _BLOCK_PX:
        raise Declined("too small", "block edges need 16 x 16 pixels")
    across = _steps(cv2.absdiff(gray[:, 1:], gray[:, :-1]), 0)
    down = _steps(cv2.absdiff(gray[1:], gray[:-1]), 1)
    height, width = gray.shape
    edges = across[_BLOCK_PX - 1 :: _BLOCK_PX], down[_BLOCK_PX - 1 :: _BLOCK_PX]
    edge_sum, all_sum = float(edges[0].sum() + edges[1].sum()), float(across.sum() + down.sum())
    edge_count = edges[0].size * height + edges[1].size * width
    all_count = across.size * height + down.size * width
    inside: float = (all_sum - edge_sum) / (all_count - edge_count)
    return float((edge_sum / edge_count + 1.0) / (inside + 1.0))


def _steps(differences: NDArray[Any], axis: int) -> NDArray[np.int64]:
    """Sums along rows or columns, exact."""
    summed = cv2.reduce(differences, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    return np.asarray(summed).ravel().astype(np.int64)
