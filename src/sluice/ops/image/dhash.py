"""Which images look the same, by where they get brighter?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.image.frequencies import packed, thumbnail
from sluice.ops.image.pixels import LIBRARIES, SmallGray


@measure(version=1, cost="decode", libraries=LIBRARIES)
def image_dhash(small_gray: SmallGray) -> Annotated[int, Field(unit="hash", bits=64)]:
    """64-bit difference hash: where the picture gets brighter from left to right (Krawetz 2013).

    The luma averaged to 8 rows of 9 areas; a bit is 1 where an area is brighter than its left neighbour.
    Row by row, the first bit the most significant. Compared by Hamming distance; a little more sensitive to
    recompression than `image_phash` and blind to changes within an area. A ramp that brightens to the right
    gives 2⁶⁴ − 1, its mirror 0. Declined with `no detail` for (nearly) constant pictures.
    """
    areas = thumbnail(small_gray, 9, 8)
    return int.from_bytes(packed(areas[:, 1:] > areas[:, :-1]), "big")
