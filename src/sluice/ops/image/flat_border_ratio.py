"""Is an image framed by bars?"""

from typing import Annotated

from pydantic import Field as Setting

from sluice.operator import Field, measure
from sluice.ops.image.borders import inside
from sluice.ops.image.pixels import LIBRARIES, SmallGray


@measure(version=1, cost="decode", libraries=LIBRARIES)
def image_flat_border_ratio(
    small_gray: SmallGray, *, tolerance: Annotated[int, Setting(ge=0, le=255)] = 8
) -> Annotated[float, Field(unit="share", ge=0, le=1, higher_is="more border", bound="<= 0.5")]:
    """Share of the area that lies in uniform borders (letterbox and pillar bars, frames, margins).

    A row at the top or bottom belongs to the border while its luma spans at most `tolerance` levels (room for
    JPEG's ringing), then likewise columns at the left and right of what remains. From 0 without borders to 1
    for a constant picture; a 4:3 picture in a 16:9 frame gives 0.25. Seen at small size: bars thinner than
    about one per cent of the shorter side escape.
    """
    left, top, right, bottom = inside(small_gray, tolerance)
    return 1.0 - (bottom - top) * (right - left) / small_gray.size
