"""What does a text mean, as a vector?"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from sluice.errors import Declined
from sluice.model.clip import unit
from sluice.model.device import Device, DtypeName
from sluice.model.files import Weights, find
from sluice.model.runner import BatchSize, Load, Runner
from sluice.model.text_encoder import layout
from sluice.model.tokens import Tokens, answered
from sluice.operator import Field, measure
from sluice.operator.spec import ANY_SIZE

Vector = NDArray[np.float32]


@measure(version=1, cost="model", libraries=("torch", "transformers", "tokenizers"))
class text_embedding:  # noqa: N801 - an operator's name is its class's
    """A sentence embedding of length 1: a transformer's token states, pooled; compared by cosine.

    Reimers and Gurevych, "Sentence-BERT" (2019). `model` is a path or name in the layout of
    sentence-transformers: `modules.json` and `1_Pooling/config.json` say how to pool (mean, cls, max,
    mean_sqrt_len; the mean where they are not there), `sentence_bert_config.json` how many tokens are read.
    Longer texts are cut. `prompt` is put before every text (some models want `query: `); `dtype` is the
    precision (auto: float32 on a CPU, bfloat16 on a GPU), `batch_size` how many texts go through together,
    `device` where. Texts are padded to a multiple of 64 tokens, so that none depends on its neighbours.
    Declined with `no text` for blank texts.
    """

    def __init__(
        self,
        *,
        model: Weights = "sentence-transformers/all-MiniLM-L6-v2",
        prompt: str = "",
        device: Device = "auto",
        dtype: DtypeName = "auto",
        batch_size: BatchSize = None,
    ) -> None:
        self._model, self._prompt = model, prompt
        self._runs_on: dict[str, Any] = {"device": device, "dtype": dtype, "batch_size": batch_size}

    def open(self) -> None:
        """Load the model and its tokenizer."""
        found = layout(str(find(self._model)))
        options = (("kind", "AutoModel"), ("pooling", found.pooling))
        self._lowercase = found.lowercase
        self._tokens = Tokens(found.folder, limit=found.limit)
        load = Load("sluice.model.text_encoder:pooled", found.folder, options)
        self._runner = Runner(load, **self._runs_on).open()

    def __call__(
        self, text: list[str]
    ) -> list[Annotated[Vector | None, Field(unit="unit vector", size=ANY_SIZE)]]:
        """One embedding a text."""
        found = answered([self._row(one) for one in text], self._runner)
        return [vector if isinstance(vector, Declined) else unit(vector) for vector in found]  # type: ignore[misc]

    def _row(self, text: str) -> Any:
        if not text.strip():
            return Declined("no text", "the text is blank")
        return self._tokens(self._prompt + (text.lower() if self._lowercase else text))
