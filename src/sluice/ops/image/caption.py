"""What does an image show, in words of a model behind an endpoint?"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal, NamedTuple, Unpack

import xxhash
from pydantic import Field as Setting

from sluice.codec import Picture
from sluice.codec.encode import encode
from sluice.codec.thumbnail import fit_area
from sluice.errors import SampleError
from sluice.model.captions import caption_of
from sluice.model.endpoint import Reply, picture_part, text_part
from sluice.model.langid import packaged_identifier
from sluice.model.prompts import Prompt, prompt_text, text_hash
from sluice.model.remote import EndpointSettings, Question, RemoteModel
from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES
from sluice.sample import Media


class Caption(NamedTuple):
    """The caption, which model and prompt made it, and what it took."""

    text: Annotated[str, Field()]
    model: Annotated[str, Field()]
    prompt: Annotated[str, Field()]
    tokens_in: Annotated[int | None, Field(unit="tokens", ge=0)]
    tokens_out: Annotated[int | None, Field(unit="tokens", ge=0)]
    cost_usd: Annotated[float | None, Field(unit="USD", ge=0)]


@measure(version=1, cost="remote", libraries=(*LIBRARIES, "py3langid"))
class image_caption:  # noqa: N801 - an operator's name is its class's
    """A caption by a vision-language model over an OpenAI-compatible endpoint (vLLM, hosted services).

    Columns: `text`; `model` and `prompt` (xxh3-64 of its text) that made it; `tokens_in` and `tokens_out` as
    the endpoint counts them; `cost_usd` by the prices given. The text is null, with its reason, for what is
    `empty`, `refused`, `truncated` (at `max_tokens`) or, of four words or more, in a `wrong language`; tokens
    and cost stand there all the same. Captions that many images share: `frequency: {by: image_caption_text,
    max_count: 3}`.

    Every reply is on disk, in the store's `journal`, before it is used: neither a killed run nor one with
    other prices asks for the same image, `model`, `prompt` and settings again. `prompt`: default, short, medium,
    long, or a text file's path. The image goes as `format` (JPEG at quality 90, or PNG), scaled down to
    `max_pixels` (512 x 512: a choice of ours). `language` is an ISO 639-1 code.
    """

    def __init__(
        self,
        *,
        prompt: Prompt = "default",
        max_tokens: Annotated[int, Setting(ge=1)] = 300,
        max_pixels: Annotated[int, Setting(ge=1024)] = 262_144,
        format: Literal["jpeg", "png"] = "jpeg",
        language: str | None = None,
        **endpoint: Unpack[EndpointSettings],
    ) -> None:
        self._format, self._max_pixels, self._language = format, max_pixels, language
        self._text = prompt_text(prompt)
        self._prompt = text_hash(self._text)
        asked = {"prompt": self._prompt, "max_pixels": max_pixels, "format": format}
        self._remote = RemoteModel(max_tokens=max_tokens, asked=asked, **endpoint)

    def open(self) -> None:
        """Open the journal; nothing is sent yet."""
        self._remote.open()
        if self._language is not None:
            packaged_identifier()

    def __call__(self, encoded: list[bytes], media: list[Media]) -> list[Caption]:
        """One caption an image, or the exception that says why there is none."""
        asks = [partial(self._question, *each) for each in zip(encoded, media, strict=True)]
        return [self._caption(reply) for reply in self._remote(asks)]

    def _question(self, data: bytes, view: Media) -> Question:
        identity = {"image": xxhash.xxh3_128_hexdigest(data), "crop": view.crop}
        return Question(identity, lambda: [text_part(self._text), picture_part(*self._shown(data, view))])

    def _shown(self, data: bytes, view: Media) -> tuple[bytes, Literal["jpeg", "png"]]:
        rgb = Picture(data, view.crop).rgb()
        return encode(fit_area(rgb, self._max_pixels), self._format), self._format

    def _caption(self, reply: Reply | SampleError) -> Any:
        if isinstance(reply, SampleError):
            return reply
        text: Any = caption_of(reply, self._language)
        counts, cost = (reply.tokens_in, reply.tokens_out), self._remote.cost_usd([reply])
        return Caption(text, self._remote.name, self._prompt, *counts, cost)
