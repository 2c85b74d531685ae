"""What does an image show, in words of a model on this machine?"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray
from pydantic import Field as Setting

from sluice.codec import Picture
from sluice.errors import SampleError
from sluice.model.captioner import DEFAULT, Captioner
from sluice.model.captions import caption_of
from sluice.model.device import Device, DtypeName
from sluice.model.endpoint import Reply
from sluice.model.files import Weights, digest
from sluice.model.journal import journal_of, request_key
from sluice.model.langid import packaged_identifier
from sluice.model.prompts import Prompt, prompt_text, text_hash
from sluice.model.runner import BatchSize
from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES
from sluice.sample import Media


class LocalCaption(NamedTuple):
    """The caption, which model and prompt made it, and how long it is for the model."""

    text: Annotated[str, Field()]
    model: Annotated[str, Field()]
    prompt: Annotated[str, Field()]
    tokens_out: Annotated[int | None, Field(unit="tokens", ge=0)]


@measure(version=1, cost="model", libraries=(*LIBRARIES, "torch", "transformers", "py3langid"))
class image_caption_local:  # noqa: N801 - an operator's name is its class's
    """A caption by any image-to-text model of transformers: BLIP, GIT, LLaVA and their kin; greedy, repeatable.

    Columns: `text`; `model` and `prompt` (xxh3-64 of its text) that made it; `tokens_out`. The text is null,
    with its reason, for what is `empty`, `refused`, `truncated` (at `max_tokens`) or, of four words or more, in
    a `wrong language`. Replies are kept in the store's `journal`, so that no image is captioned twice.

    `model` is a path or name; the default is BLIP base (Li et al., 2022). `prompt` (default, short, medium,
    long, or a text file's path) is for models that chat; others are not asked anything. `language` is an
    ISO 639-1 code. `device` says where it runs, `dtype` in which precision (auto: float32 on a CPU, bfloat16 on
    a GPU), `batch_size` how many images go through together (those that chat: one).
    """

    def __init__(
        self,
        *,
        model: Weights = DEFAULT,
        prompt: Prompt = "default",
        max_tokens: Annotated[int, Setting(ge=1)] = 128,
        language: str | None = None,
        device: Device = "auto",
        dtype: DtypeName = "auto",
        batch_size: BatchSize = None,
    ) -> None:
        self._model, self._language, self._max_tokens = model, language, max_tokens
        self._text = prompt_text(prompt)
        self._prompt = text_hash(self._text)
        self._runs_on: dict[str, Any] = {"device": device, "dtype": dtype, "batch_size": batch_size}

    def open(self) -> None:
        """Open the journal and load the model."""
        if self._language is not None:
            packaged_identifier()
        self._journal = journal_of(self._model)
        self._captioner = Captioner(
            self._model, self._text, max_tokens=self._max_tokens, **self._runs_on
        ).open()
        self._asked = {
            "model": digest(self._model),
            "prompt": self._prompt if self._captioner.chats else "",
            "max_tokens": self._max_tokens,
            "runs_on": self._captioner.runs_on,
        }

    def __call__(self, encoded: list[bytes], media: list[Media]) -> list[LocalCaption]:
        """One caption an image, or the exception that says why there is none."""
        requests = [
            {**self._asked, "image": xxhash.xxh3_128_hexdigest(data), "crop": view.crop}
            for data, view in zip(encoded, media, strict=True)
        ]
        keys = [request_key(request) for request in requests]
        self._journal.refresh()
        found: dict[str, Any] = {key: self._journal.get(key) for key in keys}
        pictures = {key: _decoded(encoded[k], media[k]) for k, key in enumerate(keys) if found[key] is None}
        found |= {key: trouble for key, trouble in pictures.items() if isinstance(trouble, SampleError)}
        todo = [key for key in pictures if found[key] is None]
        made = self._captioner([[pictures[key]] for key in todo]) if todo else []
        for key, reply in zip(todo, made, strict=True):
            found[key] = vars(reply)
            self._journal.put(key, requests[keys.index(key)], found[key])
        return [self._caption(found[key]) for key in keys]

    def _caption(self, known: Any) -> Any:
        if isinstance(known, SampleError):
            return known
        reply = Reply(**known)
        text: Any = caption_of(reply, self._language)
        return LocalCaption(text, self._model, self._prompt, reply.tokens_out)


def _decoded(data: bytes, view: Media) -> NDArray[np.uint8] | Any:
    try:
        return Picture(data, view.crop).rgb()
    except SampleError as error:
        return error
