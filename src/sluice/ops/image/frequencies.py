"""The low spatial frequencies that perceptual hashes are made of."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sluice.errors import Declined

_LEAST_RANGE = 4.0


def thumbnail(gray: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float64]:
    """The luma [h, w] averaged over `height` x `width` areas (OpenCV's area interpolation on floats).

    A picture with fewer pixels than areas is interpolated. Raises Declined with the reason `no detail` where
    the areas span less than 4 levels: hashes of empty pictures would make duplicates of all that are empty.
    """
    areas = cv2.resize(gray.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    if float(areas.max() - areas.min()) < _LEAST_RANGE:
        raise Declined("no detail", "a picture without any structure has no perceptual hash")
    return np.asarray(areas, dtype=np.float64)


def low_frequencies(areas: NDArray[np.float64], first: int, count: int) -> NDArray[np.float64]:
    """The block [first, first + count)² of the orthonormal DCT-II of square `areas`, rounded to 1/1000 level.

    Rounded so that coefficients that are zero by symmetry are zero, not the noise of the arithmetic.
    """
    block: NDArray[np.float64] = np.asarray(cv2.dct(areas), dtype=np.float64)
    return block[first : first + count, first : first + count].round(3)


def packed(bits: NDArray[np.bool_]) -> bytes:
    """Bits row by row, the first the most significant."""
    return np.packbits(bits.ravel()).tobytes()
