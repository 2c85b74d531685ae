"""Which images look the same, told by 256 bits?"""

from typing import Annotated

import numpy as np

from sluice.operator import Field, measure
from sluice.ops.image.frequencies import low_frequencies, packed, thumbnail
from sluice.ops.image.pixels import LIBRARIES, SmallGray


@measure(version=1, cost="decode", libraries=LIBRARIES)
def image_hash256(small_gray: SmallGray) -> Annotated[bytes, Field(unit="hash", bits=256)]:
    """256-bit perceptual hash in the manner of Facebook's PDQ (2019): 16 x 16 frequencies and their median.

    The luma averaged to 64 x 64, its DCT-II, the block of frequencies 1 to 16 in both directions (neither the
    mean nor purely horizontal or vertical waves); a bit is 1 where a coefficient exceeds the median of all
    256. 32 bytes, row by row, the first bit the most significant. Not interchangeable with PDQ, which filters
    the picture otherwise first. Unrelated pictures differ in about 128 bits, copies that were scaled,
    recompressed or blurred in 0 to 22 (PDQ's customary threshold is 31). Declined with `no detail` for
    (nearly) constant pictures.
    """
    block = low_frequencies(thumbnail(small_gray, 64, 64), 1, 16)
    return packed(block > np.sort(block.ravel())[127:129].mean())
