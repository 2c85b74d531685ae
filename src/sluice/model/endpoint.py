"""Asks an OpenAI-compatible HTTP endpoint about pictures and texts: patiently, within limits, never for ever."""

from __future__ import annotations

import base64
import email.utils
import http.client
import json
import random
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Literal

from sluice.errors import NoAnswerError, OperatorError, UnavailableError
from sluice.model.pace import Pace

GIVE_UP_AFTER = 10
"""Requests in a row without a usable reply after which the endpoint is taken to be down, and the run ends."""

BACK_OFF_S, LONGEST_PAUSE_S = 1.0, 120.0
"""The first pause before another try, doubled each time; no pause is longer, whatever `Retry-After` asks."""

_LONGEST_REPLY_BYTES = 16 << 20
_TRIED_AGAIN = frozenset({408, 409, 425, 429})
_HOPELESS = {
    401: "the endpoint refuses the API key",
    403: "the endpoint refuses access",
    404: "the endpoint knows no such path or model",
}


@dataclass(frozen=True)
class Reply:
    """What came back: the text, why it ended (`stop`, `length`, `content_filter`), and what it took.

    `refusal` is the endpoint's own word that it refuses; token counts are None where it gives none.
    """

    text: str
    finish: str = ""
    refusal: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None


class _Trouble(Exception):  # noqa: N818 - one try's end, not an error of ours
    """One try that failed and may be repeated."""

    def __init__(self, reason: str, detail: str, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.pause_s = reason, detail, pause_s


class Endpoint:
    """`POST {url}/chat/completions` as OpenAI defined it and vLLM and many others serve it.

    `timeout_s` bounds one try, from connecting to the reply's last byte. What may pass (429, 5xx, no connection,
    no JSON) is tried `retries` more times with exponential back-off and `Retry-After` heeded; then that
    request fails alone. Where no try ever got an answer, after `GIVE_UP_AFTER` failed requests in a row, and where
    trying is hopeless (401, 403, 404, a redirection), UnavailableError ends the run. Redirections are not
    followed: the key and the picture go to the named place only. May be called from several threads.
    """

    def __init__(
        self, url: str, *, api_key: str | None, timeout_s: float, retries: int, pace: Pace | None = None
    ) -> None:
        self.url = url.rstrip("/") + "/chat/completions"
        self._headers = {"Content-Type": "application/json", "User-Agent": "sluice"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._timeout_s, self._retries = timeout_s, retries
        self._pace = pace or Pace(None, None)
        self._opener = urllib.request.build_opener(_NoRedirections)
        self._lock, self._given_up = threading.Lock(), threading.Event()
        self._answered, self._in_a_row = False, 0
        self._end: UnavailableError | None = None

    def renew(self) -> None:
        """Forget that it was given up, for a caller who tries once more."""
        self._end = None
        self._given_up.clear()

    def ask(self, body: dict[str, Any]) -> Reply:
        """The reply to one request. Raises NoAnswerError (OperatorError for 400 and the like), UnavailableError.

        After an UnavailableError nothing more is sent until `renew`.
        """
        if self._end is not None:
            raise self._end
        try:
            return self._patiently(json.dumps(body).encode())
        except UnavailableError as error:
            self._end = error
            self._given_up.set()  # whoever pauses before another try need not
            raise

    def _patiently(self, data: bytes) -> Reply:
        last = _Trouble("no answer", "")
        for attempt in range(self._retries + 1):
            try:
                reply = self._once(data)
            except _Trouble as trouble:
                last = trouble
                if attempt < self._retries and self._given_up.wait(_pause_s(attempt, trouble.pause_s)):
                    break
                continue
            except OperatorError as error:
                self._failed(str(error.what))
                raise
            with self._lock:
                self._in_a_row = 0
            return reply
        self._failed(f"{last.reason}: {last.detail}")
        raise NoAnswerError(last.reason, f"{last.detail} (after {self._retries + 1} tries)", where=self.url)

    def _failed(self, why: str) -> None:
        with self._lock:
            self._in_a_row += 1
            never, often = not self._answered, self._in_a_row >= GIVE_UP_AFTER
        if never or often:
            many = f"{self._in_a_row} requests in a row failed" if often else "it never answered"
            raise UnavailableError(
                f"the endpoint is not usable: {many} ({why})",
                where=self.url,
                fix="see to the endpoint and run the same command again: no reply is paid for twice",
            )

    def _once(self, data: bytes) -> Reply:
        self._pace.wait()
        request = urllib.request.Request(self.url, data, self._headers, method="POST")
        deadline = time.monotonic() + self._timeout_s
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                self._answered = True
                return _reply(_body(response, deadline))
        except urllib.error.HTTPError as error:
            self._answered = True
            with error:
                raise _judged(error, self.url, deadline) from None
        except TimeoutError as error:
            raise _Trouble("time limit", f"no reply within {self._timeout_s:g} s") from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise _Trouble("time limit", f"no reply within {self._timeout_s:g} s") from error
            raise _Trouble("no connection", str(error.reason)) from error
        except (OSError, http.client.HTTPException) as error:
            raise _Trouble("broken off", f"{type(error).__name__}: {error}") from error


class _NoRedirections(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """No request to elsewhere: the redirection is an error."""


def _body(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """All of a reply, but not a byte a minute for ever."""
    parts, size = [], 0
    while part := response.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > _LONGEST_REPLY_BYTES:
            raise _Trouble("not a reply", f"more than {_LONGEST_REPLY_BYTES >> 20} MiB")
        if time.monotonic() > deadline:
            raise TimeoutError
    return b"".join(parts)


def _judged(error: urllib.error.HTTPError, url: str, deadline: float) -> Exception:
    """What a status code means: try again, fail this request, or end the run."""
    code, said = error.code, _said(error, deadline)
    if code in _TRIED_AGAIN or code >= 500:
        return _Trouble(f"HTTP {code}", said, _retry_after_s(error.headers.get("Retry-After")))
    if code in _HOPELESS or 300 <= code < 400:
        what = _HOPELESS.get(code, f"the endpoint has moved to {error.headers.get('Location')}")
        return UnavailableError(
            f"{what} (HTTP {code}): {said}",
            where=url,
            fix="check the step's `url` and `model`, and the key in the variable that `api_key_env` names",
        )
    return OperatorError(f"HTTP {code}", said, where=url)


def _said(error: urllib.error.HTTPError, deadline: float) -> str:
    """The beginning of what an error says, as far as it comes in time."""
    said = b""
    try:
        while len(said) < 4096 and time.monotonic() < deadline and (part := error.read1(4096)):
            said += part
    except (OSError, http.client.HTTPException):
        pass
    return " ".join(said.decode("utf-8", "replace").split())[:300] or error.reason


def _reply(data: bytes) -> Reply:
    """The first choice of a chat completion; `_Trouble` where the bytes are none."""
    try:
        document = json.loads(data)
        choice = document["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        finish = choice.get("finish_reason")
        usage = document.get("usage") or {}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        shown = data[:120].decode("utf-8", "replace")
        raise _Trouble("not a reply", f"{type(error).__name__} in {shown!r}") from error
    if not all(isinstance(part, str | None) for part in (text, refusal, finish)) or not isinstance(
        usage, dict
    ):
        raise _Trouble("not a reply", "its parts are of other types than OpenAI's")
    tokens = [_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")]
    return Reply(_storable(text or ""), finish or "", _storable(refusal or ""), *tokens)


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 40 else None


def _storable(text: str) -> str:
    """The text without halves of surrogate pairs, which JSON can escape and no column can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _pause_s(attempt: int, asked_s: float) -> float:
    """Exponential back-off with jitter, so that workers do not come back all at once; never before asked."""
    own = BACK_OFF_S * 2**attempt * random.uniform(0.5, 1)
    return float(min(LONGEST_PAUSE_S, max(own, asked_s)))


def _retry_after_s(value: str | None) -> float:
    """`Retry-After` (RFC 9110, 10.2.3) in seconds from now: a number or a date; 0 for anything else."""
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0


def text_part(text: str) -> dict[str, Any]:
    """A text as part of a message of chat completions."""
    return {"type": "text", "text": text}


def picture_part(picture: bytes, kind: Literal["jpeg", "png"]) -> dict[str, Any]:
    """An encoded picture as part of a message of chat completions."""
    url = f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
    return {"type": "image_url", "image_url": {"url": url}}
