"""The feature that operators on written text share: where an OCR detector sees lines of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting

from sluice.model.files import Weights
from sluice.model.onnx import OnnxDevice, OnnxModel
from sluice.operator import feature
from sluice.ops.image.pixels import LIBRARIES, Rgb

_STRIDE_PX = 32
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
_INK, _LEAST_SCORE, _UNCLIP, _MOST_LINES = 0.3, 0.6, 1.5, 1000
_LEAST_SIDE, _LEAST_GROWN_SIDE = 3, 5
_THICK = 0.2
_LEAST_CHARACTERS, _LEAST_CONFIDENCE = 2, 0.7
_READ_HEIGHT_PX, _READ_WIDTH_PX = 48, (320, 1920)

Pixels = NDArray[np.uint8]
Corners = NDArray[np.float32]


class TextBoxes(NamedTuple):
    """Lines of text: `quads` [n, 4, 2] corners (x, y) as shares of width and height, `scores` [n], 0 to 1."""

    quads: NDArray[np.float64]
    scores: NDArray[np.float64]


class _Line(NamedTuple):
    corners: Corners
    thickness_px: float
    score: float


@feature(scope="image", version=1, cost="model", libraries=(*LIBRARIES, "onnxruntime"))
class text_boxes:  # noqa: N801 - an operator's name is its class's
    """Boxes of lines of text, found by a DBNet detector (Liao et al., AAAI 2020) and the larger ones read.

    `model` is any DBNet in ONNX that takes [1, 3, H, W] and gives the probability that a pixel is text, by
    default PaddleOCR's PP-OCRv6 small (Apache-2.0), which the wheel of rapidocr carries; `device` is where it
    runs. The picture is scaled to a longer side of at most `max_side_px` (960, PaddleOCR's default), never
    enlarged, and to sides that 32 divides; values are B, G, R less ImageNet's mean over its deviation. From the
    map to boxes by the numbers of PP-OCRv6's own configuration: pixels above 0.3; the smallest rotated
    rectangle about each of at most 1,000 connected parts, if its mean probability is 0.6 or more; grown on each
    side by 1.5 times its area over its perimeter, as DBNet is trained on shrunk boxes.

    Detectors take cats and cups for one large line of text. So a box that is thicker than a fifth of the
    picture's shorter side counts only where `reader`, a CTC text recogniser (PP-OCRv6 small, same origin), reads
    two characters or more in it with a mean confidence of 0.7. On 166 photographs and scans this left out all
    of some thirty such boxes. What stays wrong: stripes of a flag are taken for text, and large handwriting, or
    a single letter that fills the picture, is not.
    """

    def __init__(
        self,
        *,
        model: Weights = "PP-OCRv6_det_small",
        reader: Weights = "PP-OCRv6_rec_small",
        device: OnnxDevice = "cpu",
        max_side_px: Annotated[int, Setting(ge=_STRIDE_PX, le=4096)] = 960,
    ) -> None:
        self.model, self.reader, self.device, self.max_side_px = model, reader, device, max_side_px

    def open(self) -> None:
        """Load both models."""
        self._detector = OnnxModel(self.model, device=self.device)
        self._detector_input = self._detector.image_input("nchw")
        shapes = [output.shape for output in self._detector.outputs]
        if [len(shape) for shape in shapes] != [4] or shapes[0][1] not in (1, None):
            raise self._detector.unlike("one output [batch, 1, height, width] (a DBNet text detector)")
        self._reader = OnnxModel(self.reader, device=self.device)
        self._reader_input = self._reader.image_input("nchw")
        shapes = [output.shape for output in self._reader.outputs]
        if [len(shape) for shape in shapes] != [3] or self._reader_input.height_px != _READ_HEIGHT_PX:
            raise self._reader.unlike("48 px of input height and one output [batch, steps, characters]")

    def __call__(self, rgb: Rgb) -> TextBoxes:
        """The lines of text of one picture."""
        height, width = rgb.shape[:2]
        size = self._size(width, height)
        interpolation = cv2.INTER_AREA if size[0] < width or size[1] < height else cv2.INTER_LINEAR
        bgr = cv2.resize(rgb, size, interpolation=interpolation)[:, :, ::-1].astype(np.uint8)
        (maps,) = self._detector(self._detector_input.batch((bgr.astype(np.float32) / 255 - _MEAN) / _STD))
        lines = [line for line in _lines(maps[0, 0].astype(np.float32)) if self._is_text(line, bgr)]
        quads = np.array([line.corners for line in lines], np.float64).reshape(-1, 4, 2)
        return TextBoxes((quads / size).clip(0, 1), np.array([line.score for line in lines], np.float64))

    def _size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height for the detector: those that its file fixes, else near the picture's own."""
        scale = min(1.0, self.max_side_px / max(width, height))
        sides = [max(1, round(side * scale / _STRIDE_PX)) * _STRIDE_PX for side in (width, height)]
        return self._detector_input.width_px or sides[0], self._detector_input.height_px or sides[1]

    def _is_text(self, line: _Line, bgr: Pixels) -> bool:
        if line.thickness_px <= _THICK * min(bgr.shape[:2]):
            return True
        (probabilities,) = self._reader(self._reader_input.batch(_for_reading(_cut_out(bgr, line.corners))))
        confidences = _confidences(probabilities[0])
        return len(confidences) >= _LEAST_CHARACTERS and float(confidences.mean()) >= _LEAST_CONFIDENCE


def _lines(probability: NDArray[np.float32]) -> Iterator[_Line]:
    """The lines of text in a map [H, W] of probabilities, in the map's pixels."""
    ink = (probability > _INK).astype(np.uint8)
    contours, _ = cv2.findContours(ink, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    for contour in contours[:_MOST_LINES]:
        centre, (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < _LEAST_SIDE:
            continue
        score = _mean_inside(probability, _corners(centre, (width, height), angle))
        growth = _UNCLIP * width * height / (width + height)  # twice the distance: it is at both sides
        grown = (width + growth, height + growth)
        if score >= _LEAST_SCORE and min(grown) >= _LEAST_GROWN_SIDE:
            yield _Line(_corners(centre, grown, angle), min(width, height), score)


def _corners(centre: Sequence[float], size: Sequence[float], angle: float) -> Corners:
    """Corners [4, 2] of a rectangle of OpenCV's kind, turned by an angle in degrees."""
    return np.asarray(cv2.boxPoints((centre, size, angle)), dtype=np.float32)


def _mean_inside(probability: NDArray[np.float32], corners: Corners) -> float:
    """Mean of a map over a quadrangle."""
    height, width = probability.shape
    left, top = np.floor(corners.min(axis=0)).astype(int).clip(0, (width - 1, height - 1))
    right, bottom = np.ceil(corners.max(axis=0)).astype(int).clip(0, (width - 1, height - 1)) + 1
    mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(mask, [(corners - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(probability[top:bottom, left:right], mask)[0])


def _cut_out(pixels: Pixels, corners: Corners) -> Pixels:
    """The content of a rotated rectangle, turned upright; one much higher than wide is laid on its side."""
    across = corners[np.argsort(corners[:, 0])]
    left, right = (side[np.argsort(side[:, 1])] for side in (across[:2], across[2:]))
    upright = np.array([left[0], right[0], right[1], left[1]], np.float32)
    width, height = (max(1, round(float(np.linalg.norm(upright[k] - upright[0])))) for k in (1, 3))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    turn = cv2.getPerspectiveTransform(upright, target)
    cut = cv2.warpPerspective(
        np.ascontiguousarray(pixels),
        turn,
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(np.rot90(cut) if height >= 1.5 * width else cut, dtype=np.uint8)


def _for_reading(line: Pixels) -> NDArray[np.float32]:
    """A line as PP-OCR's recogniser takes it: 48 px high, -1 to 1, filled up with 0 to 320 px at least."""
    least, most = _READ_WIDTH_PX
    width = min(most, max(1, round(_READ_HEIGHT_PX * line.shape[1] / line.shape[0])))
    scaled = cv2.resize(np.ascontiguousarray(line), (width, _READ_HEIGHT_PX))
    filled = np.zeros((_READ_HEIGHT_PX, max(least, width), 3), np.float32)
    filled[:, :width] = scaled.astype(np.float32) / 127.5 - 1
    return filled


def _confidences(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each character read greedily (CTC: repetitions and class 0, the blank, left out) its probability."""
    best = probabilities.argmax(axis=1)
    is_new = np.concatenate([[True], best[1:] != best[:-1]])
    return np.asarray(probabilities.max(axis=1)[is_new & (best != 0)])
