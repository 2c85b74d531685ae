"""Where in a video is text?"""

from __future__ import annotations

import json
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sluice.operator import Field, measure
from sluice.operator.frames import Frames
from sluice.ops.image.text_boxes import TextBoxes

_DIGITS = 4  # a tenth of a pixel of the 960 that the detector sees


@measure(version=1, cost="header", libraries=("numpy",))
def video_text_boxes(
    image_text_boxes: Annotated[list[TextBoxes | None], Frames(fps=2)],
) -> Annotated[str, Field()]:
    """The boxes of all lines of text in a clip's frames, as JSON: what other operators on text judge, to be stored.

    A list with a list for each frame that was looked at (two a second), which has for each line of text its four
    corners [x, y] as shares of width and height: `[[[[0.1, 0.8], [0.9, 0.8], [0.9, 0.9], [0.1, 0.9]]], []]` are one
    line in the first frame and none in the second. Boxes are those of the feature `text_boxes` of images: set its
    models by `with: {text_boxes: {…}}`, the frames here and elsewhere by `with: {video_text_boxes: {fps: 1}}`.
    """
    quads = [found.quads.round(_DIGITS).tolist() for found in image_text_boxes if found is not None]
    return json.dumps(quads)


def quads_of(video_text_boxes: str) -> list[NDArray[np.float64]]:
    """The corners [n, 4, 2] of the lines of text in each frame."""
    return [np.array(quads, np.float64).reshape(-1, 4, 2) for quads in json.loads(video_text_boxes)]
