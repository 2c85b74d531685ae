"""What does a text say, to a model that draws or films from T5's states?"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting

from sluice.model.device import Device, DtypeName
from sluice.model.files import Weights, find
from sluice.model.runner import BatchSize, Load, Runner
from sluice.model.tokens import Tokens, answered
from sluice.operator import Field, measure
from sluice.operator.spec import ANY_SIZE

Vector = NDArray[np.float32]


@measure(version=1, cost="model", libraries=("torch", "transformers", "tokenizers"))
class text_t5_embedding:  # noqa: N801 - an operator's name is its class's
    """The mean of a text's token states in T5's encoder (not normalised; padding left out).

    Raffel et al., "Exploring the limits of transfer learning" (2020); generators of pictures and video are
    conditioned on these states. `model` is a path or name; texts are cut at `max_tokens` (512, T5's length
    in training). `dtype` is the precision (auto: float32 on a CPU, bfloat16 on a GPU), `batch_size` how many
    texts go through together, `device` where. Declined with `no text` for blank texts. The states themselves
    are given by `sluice.model.text_encoder.token_states`.
    """

    def __init__(
        self,
        *,
        model: Weights = "google/t5-v1_1-xxl",
        max_tokens: Annotated[int, Setting(ge=1)] = 512,
        device: Device = "auto",
        dtype: DtypeName = "auto",
        batch_size: BatchSize = None,
    ) -> None:
        self._model, self._max_tokens = model, max_tokens
        self._runs_on: dict[str, Any] = {"device": device, "dtype": dtype, "batch_size": batch_size}

    def open(self) -> None:
        """Load the encoder and its tokenizer."""
        folder = str(find(self._model))
        self._tokens = Tokens(folder, limit=self._max_tokens)
        options = (("kind", "T5EncoderModel"), ("pooling", "mean"))
        load = Load("sluice.model.text_encoder:pooled", folder, options)
        self._runner = Runner(load, **self._runs_on).open()

    def __call__(
        self, text: list[str]
    ) -> list[Annotated[Vector | None, Field(unit="mean state", size=ANY_SIZE)]]:
        """One vector a text."""
        found: Any = answered([self._tokens(one) for one in text], self._runner)
        return found  # type: ignore[no-any-return]
