"""Does a video flicker?"""

from typing import Annotated

import numpy as np

from sluice.errors import Declined
from sluice.operator import Field, Span, measure


@measure(version=1, cost="decode", libraries=("numpy",))
def video_flicker(
    video_brightness: Span,
) -> Annotated[float, Field(unit="luma a frame", ge=0, le=255, higher_is="more flicker", bound="<= 3")]:
    """Mean absolute change of the frames' mean luma from one frame to the next, in levels of 255.

    0 for steady light, below about 0.5 for most footage; strobing lights, failing exposure control and damaged film
    lie above 3. A cut counts with the step between its shots. Declined with `one frame` where the clip has no two.
    """
    brightness = video_brightness["video_brightness"]
    if len(brightness) < 2:
        raise Declined("one frame", "there is no next one to compare")
    return float(np.abs(np.diff(brightness)).mean())
