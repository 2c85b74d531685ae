"""The embedding of a text in the space where pictures lie, shared by all that compare the two."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from sluice.errors import Declined
from sluice.model.clip import DEFAULT, unit
from sluice.model.device import Device, DtypeName
from sluice.model.files import Weights, find
from sluice.model.runner import BatchSize, Load, Runner
from sluice.model.tokens import Tokens, answered
from sluice.operator import feature
from sluice.operator.spec import Inherited

Clip = Annotated[NDArray[np.float32], "embedding of unit length, as the model pools and projects it"]


@feature(
    scope="text", version=1, cost="model", libraries=("torch", "transformers", "tokenizers"), batched=True
)
class clip:  # noqa: N801 - an operator's name is its class's
    """The text's embedding by a vision-text model of transformers (CLIP, SigLIP and kin), at length 1.

    Cut at the model's limit (77 tokens in CLIP, 64 in SigLIP) and padded to it, as in training. `model` is a
    path or name; `device` says where it runs, `dtype` in which precision (auto: float32 on a CPU, bfloat16 on
    a GPU), `batch_size` how many texts go through together. Declined with `no text` for blank texts.
    """

    def __init__(
        self,
        *,
        model: Annotated[Weights, Inherited()] = DEFAULT,
        device: Device = "auto",
        dtype: DtypeName = "auto",
        batch_size: BatchSize = None,
    ) -> None:
        self._model = model
        self._runs_on: dict[str, Any] = {"device": device, "dtype": dtype, "batch_size": batch_size}

    def open(self) -> None:
        """Load the model's text tower and tokenizer."""
        folder = str(find(self._model))
        self._tokens = Tokens(folder, fixed=True)
        self._runner = Runner(Load("sluice.model.clip:text_tower", folder), **self._runs_on).open()

    def __call__(self, text: list[str]) -> list[Clip | Declined]:
        """One embedding a text."""
        found = answered([self._tokens(one) for one in text], self._runner)
        return [vector if isinstance(vector, Declined) else unit(vector) for vector in found]
