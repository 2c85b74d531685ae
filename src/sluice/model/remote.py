"""Asks a model behind an endpoint, many questions at once and each only once: replies are kept in the journal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict, Unpack
from urllib.parse import urlsplit

from pydantic import AfterValidator
from pydantic import Field as Setting

from sluice.errors import MissingError, SampleError
from sluice.model.endpoint import Endpoint, Reply
from sluice.model.journal import Journal, journal_of, request_key
from sluice.model.pace import Pace
from sluice.operator.alive import waiting
from sluice.operator.spec import Contents


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
"""Marks what says how a reply is fetched: it is no part of a value's identity."""


class EndpointSettings(TypedDict):
    """The settings that all operators have which ask an endpoint."""

    url: Annotated[
        str,
        Setting(description="the API's base (`…/v1`); nothing is sent anywhere else"),
        AfterValidator(_is_web),
        _ONLY_HOW,
    ]
    model: Annotated[str, Setting(description="the model's name at the endpoint")]
    temperature: Annotated[float, Setting(0.0, ge=0, le=2, description="0 is greedy")]
    api_key_env: Annotated[
        str | None,
        Setting(None, description="the environment variable that holds the key"),
        Contents(_has_key, lambda name: name or "no key"),
    ]
    price_per_million_input: Annotated[float, Setting(0.0, ge=0, description="USD for a million tokens sent")]
    price_per_million_output: Annotated[
        float, Setting(0.0, ge=0, description="USD for a million tokens replied")
    ]
    concurrency: Annotated[
        int, Setting(8, ge=1, description="requests that each worker has under way at most"), _ONLY_HOW
    ]
    timeout_s: Annotated[
        float, Setting(60.0, gt=0, le=600, description="how long one try may take"), _ONLY_HOW
    ]
    retries: Annotated[
        int,
        Setting(4, ge=0, le=20, description="tries after the first, with exponential back-off"),
        _ONLY_HOW,
    ]
    requests_per_minute: Annotated[
        float | None, Setting(None, gt=0, description="of all workers together; null: no limit"), _ONLY_HOW
    ]


@dataclass(frozen=True)
class Question:
    """What one request asks.

    `identity` is all that its reply depends on, beside the model and what `RemoteModel` is told; `content` makes the
    user's message (a text, or parts), and is called only where the reply is not known.
    """

    identity: Mapping[str, Any]
    content: Callable[[], str | list[dict[str, Any]]]


Ask = Callable[[], Question]
"""Makes a question when its turn comes, so that no more pictures are in memory than requests are under way."""


class RemoteModel:
    """A model behind an OpenAI-compatible endpoint, with its journal, its pace and its prices.

    `asked` is what is the same for all its questions and changes replies (the prompt's digest, sizes of pictures, …).
    """

    def __init__(
        self, *, max_tokens: int, asked: Mapping[str, Any], **settings: Unpack[EndpointSettings]
    ) -> None:
        self.name, self._settings = settings["model"], settings
        self._body = {"model": self.name, "max_tokens": max_tokens, "temperature": settings["temperature"]}
        self._asked = {**self._body, **asked}

    def open(self) -> RemoteModel:
        """Open the journal; nothing is sent yet. Raises MissingError where there is no key."""
        settings = self._settings
        self._journal: Journal = journal_of(self.name)
        _has_key(settings["api_key_env"])
        key = os.environ[settings["api_key_env"]] if settings["api_key_env"] else None
        pace = Pace(settings["requests_per_minute"], self._journal.folder)
        self._endpoint = Endpoint(
            settings["url"],
            api_key=key,
            timeout_s=settings["timeout_s"],
            retries=settings["retries"],
            pace=pace,
        )
        return self

    def __call__(self, questions: Sequence[Ask]) -> list[Reply | SampleError]:
        """A reply to each, up to `concurrency` under way together; or the error that is this question's alone.

        Raises UnavailableError where the endpoint cannot be used at all: what was replied until then is kept.
        """
        if not questions:
            return []
        self._journal.refresh()
        self._endpoint.renew()
        with ThreadPoolExecutor(min(self._settings["concurrency"], len(questions))) as pool:
            return _finished([pool.submit(self._reply, ask) for ask in questions], pool)

    def cost_usd(self, replies: Iterable[Reply]) -> float | None:
        """What replies cost by the prices given; None where tokens are due and the endpoint does not count them."""
        prices = (self._settings["price_per_million_input"], self._settings["price_per_million_output"])
        if not any(prices):
            return 0.0
        total = 0.0
        for reply in replies:
            if reply.tokens_in is None or reply.tokens_out is None:
                return None
            total += (prices[0] * reply.tokens_in + prices[1] * reply.tokens_out) / 1e6
        return total

    def _reply(self, ask: Ask) -> Reply | SampleError:
        """The reply as the journal has it, asked for where it has none."""
        try:
            question = ask()
            request = {**self._asked, **question.identity}
            key = request_key(request)
            known = self._journal.get(key)
            if known is not None:
                return Reply(**known)
            with self._journal.claim(key):
                known = self._journal.get(key)
                if known is None:
                    message = {"role": "user", "content": question.content()}
                    known = vars(self._endpoint.ask({**self._body, "messages": [message]}))
                    self._journal.put(key, request, known)
                return Reply(**known)
        except SampleError as error:
            return error


def tokens(counts: Iterable[int | None]) -> int | None:
    """The sum of tokens; None where one is not known."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def _finished(jobs: Sequence[Future[Any]], pool: ThreadPoolExecutor) -> list[Any]:
    """What all jobs returned; where one raises, those not begun yet are left."""
    left: Iterable[Future[Any]] = jobs
    try:
        while left:
            done, left = wait(left, timeout=1.0, return_when="FIRST_COMPLETED")
            waiting()
            for job in done:
                job.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return [job.result() for job in jobs]
