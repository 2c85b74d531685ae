"""What LAION's NSFW head says of a picture's CLIP embedding."""

from __future__ import annotations

from typing import Annotated

from sluice.model.files import Weights
from sluice.model.heads import nsfw, sigmoid
from sluice.operator import feature
from sluice.operator.spec import Inherited
from sluice.ops.image.clip import Clip

ClipNsfw = Annotated[float, "probability, 0 to 1"]


@feature(scope="image", version=1, cost="header", libraries=("torch",))
class clip_nsfw:  # noqa: N801 - an operator's name is its class's
    """The probability that a picture is not safe for work, by a `head` over its CLIP embedding of length 1.

    LAION's CLIP-based NSFW detector: (x - mean) / sqrt(variance), linear layers 768 to 64, 512, 256 with ReLU,
    to 1 with sigmoid; mean and variance are in the file.
    """

    def __init__(self, *, head: Annotated[Weights, Inherited()]) -> None:
        self._name = head

    def open(self) -> None:
        """Read the head's weights."""
        self._head = nsfw(self._name)

    def __call__(self, clip: Clip) -> ClipNsfw:
        """The probability for one picture."""
        return sigmoid(self._head(clip))
