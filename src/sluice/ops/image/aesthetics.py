"""How beautiful do people find an image?"""

from __future__ import annotations

from typing import Annotated

from sluice.model.files import Weights
from sluice.model.heads import aesthetics
from sluice.operator import Field, measure
from sluice.ops.image.clip import Clip


@measure(version=1, cost="header", libraries=("torch",))
class image_aesthetics:  # noqa: N801 - an operator's name is its class's
    """LAION's prediction of the mean opinion of a picture's looks, about 1 (worst) to 10 (best).

    By default the improved aesthetic predictor (Schuhmann 2022, `sac+logos+ava1-l14-linearMSE`): linear layers
    768 to 1024, 128, 64, 16 and 1 in a row over the CLIP ViT-L/14 embedding of length 1, trained on the SAC,
    LAION-Logos and AVA ratings. `head: laion-aesthetics-linear` is LAION's first one, a single linear layer
    (`laion-aesthetics-linear-b32` goes with CLIP ViT-B/32); `head` may be a path to either kind (.pth,
    .safetensors or .npz).

    Some tools divide the score by 10. A bound of 0.5 meant for that scale keeps everything here: write 5. The
    scale has no hard ends; values a little outside are possible. Plans and runs warn of such a bound.
    """

    def __init__(self, *, head: Weights = "laion-aesthetics-mlp") -> None:
        self._name = head

    def open(self) -> None:
        """Read the head's weights."""
        self._head = aesthetics(self._name)

    def __call__(
        self, clip: Clip
    ) -> Annotated[
        float, Field(unit="of about 10", higher_is="more beautiful", bound=">= 5", typical=(1, 10))
    ]:
        """The score of one picture."""
        return self._head(clip)
