"""Text encoders: one vector for a text by pooling its tokens' states, or the states themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.errors import Declined, MissingError, PlanError
from sluice.model.device import device_class, device_of, dtype_of
from sluice.model.files import digest, find
from sluice.model.pretrained import config, pretrained
from sluice.model.runner import BatchSize, Forward, Load, Runner
from sluice.model.tokens import Tokens, answered
from sluice.operator.instance import library_version

Pool = Callable[[Any, Any], Any]
"""From states [batch, length, size] and mask [batch, length, 1] (both float) to vectors [batch, size]."""

POOLS: dict[str, Pool] = {
    "mean": lambda states, mask: (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9),
    "mean_sqrt_len": lambda states, mask: (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9).sqrt(),
    "max": lambda states, mask: states.masked_fill(mask == 0, float("-inf")).max(1).values,
    "cls": lambda states, mask: states[:, 0],
}
"""How sentence-transformers pools, by its names (`pooling_mode_mean_tokens`, `pooling_mode_cls_token`, …)."""


@dataclass(frozen=True)
class Layout:
    """What sentence-transformers' files say of a model: its parts, and how texts go in."""

    folder: str
    pooling: str = "mean"
    limit: int | None = None
    lowercase: bool = False


def layout(folder: str) -> Layout:
    """Read `modules.json`, the pooling's `config.json` and `sentence_bert_config.json`, where they are there.

    A folder without `modules.json` is a plain transformer, whose tokens are averaged. PlanError names a module
    that is not supported.
    """
    root = Path(folder)
    if not (root / "modules.json").is_file():
        return Layout(folder)
    modules = {m["type"].rpartition(".")[2]: root / m["path"] for m in _json(root / "modules.json")}
    odd = set(modules) - {"Transformer", "Pooling", "Normalize"}
    if odd:
        raise PlanError(
            f"this model has a module of the kind {sorted(odd)[0]!r}, which is not supported",
            where=folder,
            fix="name a model made of Transformer, Pooling and Normalize",
        )
    transformer = modules.get("Transformer", root)
    options = transformer / "sentence_bert_config.json"
    found = _json(options) if options.is_file() else {}
    pooling = _pooling(_json(modules["Pooling"] / "config.json")) if "Pooling" in modules else "mean"
    return Layout(str(transformer), pooling, found.get("max_seq_length"), bool(found.get("do_lower_case")))


def pooled(path: str, *, device: str, dtype: Any, kind: str, pooling: str) -> Forward:
    """Token ids and mask [batch, length] to one vector a text [batch, size], float32; `kind` as `token_states`."""
    states, pool = token_states(path, device=device, dtype=dtype, kind=kind), POOLS[pooling]

    def forward(inputs: dict[str, Any]) -> Any:
        return pool(states(inputs).float(), inputs["attention_mask"].unsqueeze(-1).float())

    return forward


def token_states(path: str, *, device: str, dtype: Any, kind: str = "AutoModel") -> Forward:
    """Token ids and mask [batch, length] to the last layer's states [batch, length, size].

    `kind` is the class of transformers (`AutoModel`, `T5EncoderModel`). States of padding are there, too: the
    mask says which count.
    """
    model = pretrained(kind, path, device, dtype, unused="pooler.")

    def forward(inputs: dict[str, Any]) -> Any:
        return model(**inputs).last_hidden_state

    return forward


class T5States:
    """The states of a text's tokens in T5's encoder, without those of padding: what generators are conditioned on.

    `model` is a path or name; texts are cut at `max_tokens`. Results are half precision, whatever the precision
    the model runs in. `marks` is all that they depend on beside the texts. Raises MissingError where the model or a
    library is not on this machine; the model is loaded when the first texts come.
    """

    def __init__(
        self,
        model: str,
        *,
        max_tokens: int = 512,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: BatchSize = None,
    ) -> None:
        self._model, self._limit = model, max_tokens
        self._folder = str(find(model))
        self._runs_on: dict[str, Any] = {"device": device, "dtype": dtype, "batch_size": batch_size}
        self._opened: tuple[Tokens, Runner] | None = None

    @property
    def device(self) -> str:
        """The class of the device that it runs on, as `device_class` has it."""
        return device_class(self._runs_on["device"])

    @property
    def marks(self) -> tuple[str, ...]:
        """The model's digest, device, precision, limit, and the libraries' versions."""
        dtype = dtype_of(self._runs_on["dtype"], device_of(self._runs_on["device"]))
        versions = (f"{name} {library_version(name)}" for name in ("torch", "transformers", "tokenizers"))
        return (digest(self._model), self.device, dtype, str(self._limit), *versions)

    def __call__(self, texts: Sequence[str]) -> list[NDArray[np.float16]]:
        """For each text its states [tokens, size]; a blank one has none [0, size]."""
        if not texts:
            return []
        tokens, runner = self._open()
        rows = [tokens(text) for text in texts]
        found = answered(rows, runner)
        states = []
        for row, result in zip(rows, found, strict=True):
            if isinstance(row, Declined) or isinstance(result, Declined):
                states.append(np.zeros((0, self._size), np.float16))
            else:
                states.append(result[row["attention_mask"].astype(bool)].astype(np.float16))
        return states

    @property
    def _size(self) -> int:
        return int(config(self._folder)["d_model"])

    def _open(self) -> tuple[Tokens, Runner]:
        if self._opened is None:
            load = Load("sluice.model.text_encoder:token_states", self._folder, (("kind", "T5EncoderModel"),))
            self._opened = Tokens(self._folder, limit=self._limit), Runner(load, **self._runs_on).open()
        return self._opened


def _pooling(found: dict[str, Any]) -> str:
    modes = [
        name.removeprefix("pooling_mode_") for name, on in found.items() if on is True and "_mode_" in name
    ]
    names = [mode.removesuffix("_tokens").removesuffix("_token") for mode in modes]
    if "pooling_mode" in found:
        names = [str(found["pooling_mode"])]
    if len(names) != 1 or names[0] not in POOLS:
        raise PlanError(
            f"this model pools by {', '.join(names) or 'nothing'}, which is not supported",
            fix=f"name a model that pools by one of {', '.join(POOLS)}",
        )
    return names[0]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = f"the model is incomplete: {path.name} cannot be read ({error})"
        raise MissingError(what, where=str(path), fix="fetch the model again") from error
