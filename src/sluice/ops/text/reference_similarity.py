"""How near is a text to a set of texts one wants more of?"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sluice.model.reference import Against, Reference, reference
from sluice.operator import Field, measure


@measure(version=1, cost="model")
class text_reference_similarity:  # noqa: N801 - an operator's name is its class's
    """The cosine of a text's sentence embedding to a reference set of such embeddings.

    `reference` is the path of embeddings by the same model (.npy, .npz or .parquet: rows of numbers, such as
    a column of `text_embedding` that was written beside shards). `against: nearest` gives the cosine to the
    nearest of them, `mean` to the direction of their mean. Set the model by
    `with: {text_embedding: {model: …}}`. What a cosine means depends on model and set: look at the histogram
    before a bound is chosen.
    """

    def __init__(self, *, reference: Reference, against: Against = "nearest") -> None:
        self._path, self._against = reference, against

    def open(self) -> None:
        """Read the reference set."""
        self._set = reference(self._path, self._against)

    def __call__(
        self, text_embedding: NDArray[np.float32]
    ) -> Annotated[float, Field(unit="cosine", ge=-1, le=1, higher_is="nearer to the reference")]:
        """The cosine of one text."""
        return self._set.cosine(text_embedding, self._against)
