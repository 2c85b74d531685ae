"""What does an image show, in words of a model behind an endpoint?"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import xxhash
from pydantic import AfterValidator
from pydantic import Field as Setting

from sluice.codec import Picture
from sluice.codec.encode import encode
from sluice.codec.thumbnail import fit
from sluice.errors import MissingError, SampleError
from sluice.model.captions import caption_of
from sluice.model.endpoint import Endpoint, Reply, picture_message
from sluice.model.journal import journal_of, request_key
from sluice.model.langid import packaged_identifier
from sluice.model.pace import Pace
from sluice.model.prompts import Prompt, prompt_hash, prompt_text
from sluice.operator import Field, measure
from sluice.operator.alive import waiting
from sluice.operator.spec import Contents
from sluice.ops.image.pixels import LIBRARIES
from sluice.sample import Media


def _is_web(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise ValueError("give the base of an API such as http://127.0.0.1:8000/v1, without a key in it")
    return url


def _has_key(name: str | None) -> str:
    if name is not None and not os.environ.get(name):
        raise MissingError(f"the environment variable {name} holds no API key", fix=f"export {name}=…")
    return ""


_ONLY_HOW = Contents(lambda value: "")
"""Marks what says how a reply is fetched: it is no part of a caption's identity."""

Url = Annotated[str, AfterValidator(_is_web), _ONLY_HOW]
KeyVariable = Annotated[str | None, Contents(_has_key, lambda name: name or "no key")]
Whole = Annotated[int, Setting(ge=1), _ONLY_HOW]


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
    other prices asks for the same image, `model`, `prompt` and settings again. `url` is the API's base
    (`…/v1`); nothing is sent anywhere else. `prompt`: default, short, medium, long, or a text file's path. The
    image goes as `format` (JPEG at quality 90, or PNG), scaled down to `max_pixels` (512 x 512: a choice of
    ours). `language` is an ISO 639-1 code. `api_key_env` names the environment variable of the key.
    `price_per_million_input` and `price_per_million_output` are in USD per million tokens. Each worker has up
    to `concurrency` requests under way; `requests_per_minute` holds for all together. One try takes `timeout_s`
    at most, and there are `retries` more, with exponential back-off. `temperature` 0 is greedy.
    """

    def __init__(
        self,
        *,
        url: Url,
        model: str,
        prompt: Prompt = "default",
        max_tokens: Annotated[int, Setting(ge=1)] = 300,
        temperature: Annotated[float, Setting(ge=0, le=2)] = 0.0,
        max_pixels: Annotated[int, Setting(ge=1024)] = 262_144,
        format: Literal["jpeg", "png"] = "jpeg",
        language: str | None = None,
        api_key_env: KeyVariable = None,
        price_per_million_input: Annotated[float, Setting(ge=0)] = 0.0,
        price_per_million_output: Annotated[float, Setting(ge=0)] = 0.0,
        concurrency: Whole = 8,
        timeout_s: Annotated[float, Setting(gt=0, le=600), _ONLY_HOW] = 60.0,
        retries: Annotated[int, Setting(ge=0, le=20), _ONLY_HOW] = 4,
        requests_per_minute: Annotated[float | None, Setting(gt=0), _ONLY_HOW] = None,
    ) -> None:
        self._asked: dict[str, Any] = {
            "model": model,
            "prompt": prompt_hash(prompt),
            "max_tokens": max_tokens,
            "temperature": temperature,
            "max_pixels": max_pixels,
            "format": format,
        }
        self._model, self._prompt, self._format, self._max_pixels = model, prompt, format, max_pixels
        self._body = {"model": model, "max_tokens": max_tokens, "temperature": temperature}
        self._language, self._key_variable, self._url = language, api_key_env, url
        self._prices = (price_per_million_input, price_per_million_output)
        self._concurrency, self._timeout_s, self._retries = concurrency, timeout_s, retries
        self._per_minute = requests_per_minute

    def open(self) -> None:
        """Open the journal; nothing is sent yet."""
        self._text = prompt_text(self._prompt)
        self._journal = journal_of(self._model)
        _has_key(self._key_variable)
        key = os.environ[self._key_variable] if self._key_variable else None
        pace = Pace(self._per_minute, self._journal.folder)
        self._endpoint = Endpoint(
            self._url, api_key=key, timeout_s=self._timeout_s, retries=self._retries, pace=pace
        )
        if self._language is not None:
            packaged_identifier()

    def __call__(self, encoded: list[bytes], media: list[Media]) -> list[Caption]:
        """One caption an image, or the exception that says why there is none."""
        requests = [
            {**self._asked, "image": xxhash.xxh3_128_hexdigest(data), "crop": view.crop}
            for data, view in zip(encoded, media, strict=True)
        ]
        keys = [request_key(request) for request in requests]
        self._journal.refresh()
        found: dict[str, Any] = {key: self._journal.get(key) for key in keys}
        todo = {key: k for k, key in enumerate(keys) if found[key] is None}
        if todo:
            self._endpoint.renew()
            with ThreadPoolExecutor(min(self._concurrency, len(todo))) as pool:
                jobs = {
                    key: pool.submit(self._reply, key, requests[k], encoded[k]) for key, k in todo.items()
                }
                found |= _finished(jobs, pool)
        return [self._caption(found[key]) for key in keys]

    def _reply(self, key: str, request: dict[str, Any], data: bytes) -> Any:
        """The reply as the journal has it, asked for where it has none; what is one image's trouble is returned."""
        try:
            with self._journal.claim(key):
                known = self._journal.get(key)
                if known is None:
                    message = picture_message(self._text, self._shown(data, request["crop"]), self._format)
                    known = vars(self._endpoint.ask({**self._body, "messages": [message]}))
                    self._journal.put(key, request, known)
                return known
        except SampleError as error:
            return error

    def _shown(self, data: bytes, crop: Any) -> bytes:
        rgb = Picture(data, crop).rgb()
        height, width = rgb.shape[:2]
        factor = (self._max_pixels / (height * width)) ** 0.5
        return encode(fit(rgb, int(width * factor) or 1, int(height * factor) or 1), self._format)

    def _caption(self, known: Any) -> Any:
        if isinstance(known, SampleError):
            return known
        reply = Reply(**known)
        tokens = (reply.tokens_in, reply.tokens_out)
        cost = None
        if None not in tokens or not any(self._prices):
            cost = sum(price * (n or 0) for price, n in zip(self._prices, tokens, strict=True)) / 1e6
        text: Any = caption_of(reply, self._language)
        return Caption(text, self._model, self._asked["prompt"], *tokens, cost)


def _finished(jobs: dict[str, Any], pool: ThreadPoolExecutor) -> dict[str, Any]:
    """What all jobs returned; where one raises, those not begun yet are left."""
    left: Iterable[Any] = jobs.values()
    try:
        while left:
            done, left = wait(left, timeout=1.0, return_when="FIRST_COMPLETED")
            waiting()
            for job in done:
                job.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return {key: job.result() for key, job in jobs.items()}
