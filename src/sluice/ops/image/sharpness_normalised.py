"""How sharp is an image, whatever its resolution?"""

from typing import Annotated

from sluice.codec import shrink
from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES, Gray
from sluice.ops.image.sharpness import laplacian_variance


@measure(version=1, cost="decode", libraries=LIBRARIES)
def image_sharpness_normalised(
    gray: Gray, *, side_px: int = 256
) -> Annotated[float, Field(unit="variance", ge=0, higher_is="sharper", bound=">= 20")]:
    """Variance of the 4-neighbour Laplacian of the luma after scaling the shorter side to `side_px`.

    As `image_sharpness`, but comparable between pictures of different sizes: a picture larger than `side_px`
    is scaled down first (`codec.shrink`), a smaller one is taken as it is. 256 is the size at which most
    recognition models look. 0 for a constant picture.
    """
    return laplacian_variance(shrink(gray, side_px))
