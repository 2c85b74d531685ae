"""The feature that operators on faces share: where a detector sees them, and how sure it is."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sluice.codec import shrink
from sluice.model.files import Weights
from sluice.model.onnx import OnnxDevice, OnnxModel
from sluice.operator import feature
from sluice.ops.image.pixels import LIBRARIES, Rgb

LEAST_SCORE = 0.5
"""Boxes with a lower score are not given out: the detector has hundreds of them in any picture."""

_MEAN, _SCALE = 127.0, 128.0
_MOST_OVERLAP = 0.5


class Faces(NamedTuple):
    """Faces by falling score: `boxes` [n, 4] left, top, right, bottom as shares of width and height, in 0 to 1;
    `scores` [n] the detector's probability that it is one."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]

    def at_least(self, score: float) -> NDArray[np.float64]:
        """The boxes with this score or more."""
        return self.boxes[self.scores >= score]


@feature(scope="image", version=1, cost="model", libraries=(*LIBRARIES, "onnxruntime"))
class faces:  # noqa: N801 - an operator's name is its class's
    """Boxes of faces, found by the Ultra-Light face detector (RFB, 1 MB, MIT) or another of its layout.

    `model` is an ONNX file that takes a picture and gives scores [1, n, 2] (no face, face) and boxes [1, n, 4]
    as shares of the picture; `device` is where it runs. As the detector's own code has it, the picture is
    stretched to the model's 320 x 240, values are R, G, B less 127 over 128, and of boxes that overlap by an
    intersection over union above 0.5 the one with the highest score stays. A large picture is first shrunk to
    a shorter side of the model's height, so that fine patterns do not alias. Faces below about 10 px of the 320
    are not found; faces of cats and dogs are sometimes found, with scores of 0.7 to 0.9.
    """

    def __init__(self, *, model: Weights = "ultraface-rfb-320", device: OnnxDevice = "cpu") -> None:
        self.model, self.device = model, device

    def open(self) -> None:
        """Load the model."""
        self._network = OnnxModel(self.model, device=self.device)
        self._input = self._network.image_input()
        last = [output.shape[-1] if len(output.shape) == 3 else None for output in self._network.outputs]
        if sorted(side or 0 for side in last) != [2, 4] or not (
            self._input.width_px and self._input.height_px
        ):
            raise self._network.unlike("a fixed size and outputs [1, n, 2] and [1, n, 4] (scores and boxes)")
        self._scores_at, self._boxes_at = last.index(2), last.index(4)

    def __call__(self, rgb: Rgb) -> Faces:
        """The faces of one picture."""
        width, height = self._input.width_px or 0, self._input.height_px or 0
        stretched = cv2.resize(shrink(rgb, height), (width, height), interpolation=cv2.INTER_LINEAR)
        found = self._network(self._input.batch((stretched.astype(np.float32) - _MEAN) / _SCALE))
        scores = found[self._scores_at][0, :, 1].astype(np.float64)
        boxes = found[self._boxes_at][0].astype(np.float64).clip(0, 1)
        return _without_overlaps(boxes, scores)


def _without_overlaps(boxes: NDArray[np.float64], scores: NDArray[np.float64]) -> Faces:
    """Greedy non-maximum suppression; what has no area is left out."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    likely = (scores >= LEAST_SCORE) & (sizes > 0).all(axis=1)
    corners_and_sizes = np.hstack([boxes[:, :2], sizes])[likely]
    kept = cv2.dnn.NMSBoxes(corners_and_sizes.tolist(), scores[likely].tolist(), LEAST_SCORE, _MOST_OVERLAP)
    order = np.asarray(kept, dtype=np.intp).ravel()
    return Faces(boxes[likely][order], scores[likely][order])
