"""Many questions at once: each is asked once, in whatever company, and a hostile endpoint costs single ones."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from caption_server import Answer, Captioner, completion, status, text_in
from sluice.errors import SampleError, UnavailableError, UnreadableError
from sluice.model import endpoint, journal
from sluice.model.endpoint import Reply
from sluice.model.remote import Ask, Question, RemoteModel, tokens
from sluice.storage import Location


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(endpoint, "BACK_OFF_S", 0.01)
    journal.use(Location(str(tmp_path)))
    yield
    journal.use(None)


def remote(captioner: Captioner, **more: Any) -> RemoteModel:
    settings: dict[str, Any] = {
        "url": captioner.url,
        "model": "m",
        "temperature": 0.0,
        "api_key_env": None,
        "price_per_million_input": 0.0,
        "price_per_million_output": 0.0,
        "concurrency": 4,
        "timeout_s": 2.0,
        "retries": 1,
        "requests_per_minute": None,
    }
    return RemoteModel(max_tokens=9, asked={"prompt": "p"}, **(settings | more)).open()


def asks(*texts: str) -> list[Ask]:
    return [partial(Question, {"text": text}, partial(str, text)) for text in texts]


def test_replies_come_in_the_order_of_the_questions(captioner: Captioner) -> None:
    captioner.behave = lambda body, sent: completion(text_in(body).upper())
    found = remote(captioner)(asks(*"abcdefghij"))
    assert [reply.text for reply in found if isinstance(reply, Reply)] == list("ABCDEFGHIJ")


@pytest.mark.parametrize("on_disk", [True, False])
def test_equal_questions_that_are_asked_together_are_one(captioner: Captioner, on_disk: bool) -> None:
    if not on_disk:
        journal.use(None)

    def slow(body: Any, sent: bytes) -> Answer:
        time.sleep(0.1)
        return completion("yes")

    captioner.behave = slow
    found = remote(captioner)(asks(*["a"] * 6, "b"))
    assert len(found) == 7
    assert len(captioner.bodies) == 2


def test_what_cannot_be_asked_is_its_own_trouble(captioner: Captioner) -> None:
    def unreadable() -> Question:
        raise UnreadableError("not a video")

    first, bad, last = remote(captioner)([*asks("a"), unreadable, *asks("b")])
    assert isinstance(first, Reply)
    assert isinstance(last, Reply)
    assert isinstance(bad, SampleError)
    assert bad.reason == "not a video"


GOOD = completion("A street.")
HOSTILE: dict[str, tuple[Answer | None, str]] = {
    "too many requests": (status(429, Retry_After="0"), "HTTP 429"),
    "a server's error": (status(500), "HTTP 500"),
    "a broken connection": (None, "broken off"),
    "no JSON": ((200, {}, b"<html>busy</html>"), "not a reply"),
    "half of it": ((200, {}, GOOD[2][:40]), "not a reply"),
    "no choices": ((200, {}, b'{"choices": []}'), "not a reply"),
    "choices of another kind": ((200, {}, b'{"choices": [[]]}'), "not a reply"),
    "a list": ((200, {}, b"[]"), "not a reply"),
    "too long": ((200, {}, b'{"choices": "' + b"x" * (17 << 20) + b'"}'), "not a reply"),
    "too deep": ((200, {}, b"[" * 200_000), "not a reply"),
    "a bad request": (status(400, "too many images"), "HTTP 400"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_reply_costs_its_own_question_and_is_not_remembered(
    captioner: Captioner, kind: str
) -> None:
    bad, reason = HOSTILE[kind]
    captioner.behave = lambda body, sent: bad if text_in(body) == "bad" else GOOD
    model = remote(captioner)
    first, second, third = model(asks("a", "bad", "b"))
    assert (first, third) == (Reply("A street.", "stop", "", 100, 2),) * 2
    assert isinstance(second, SampleError)
    assert second.reason == reason
    captioner.behave = lambda body, sent: GOOD
    (again,) = model(asks("bad"))
    assert isinstance(again, Reply)


def test_a_reply_that_does_not_come_in_time_is_given_up(captioner: Captioner) -> None:
    def behave(body: Any, sent: bytes) -> Answer:
        if text_in(body) == "bad":
            time.sleep(1.0)
        return GOOD

    captioner.behave = behave
    found = remote(captioner, timeout_s=0.3, retries=0)(asks("a", "bad"))
    assert isinstance(found[1], SampleError)
    assert found[1].reason == "time limit"


def test_an_endpoint_that_is_down_ends_it_and_what_was_paid_is_kept(captioner: Captioner) -> None:
    captioner.behave = lambda body, sent: GOOD if text_in(body) < "05" else status(503)
    numbers = [f"{k:02d}" for k in range(60)]
    with pytest.raises(UnavailableError):
        remote(captioner, retries=0, concurrency=1)(asks(*numbers))
    assert len(captioner.bodies) == 5 + endpoint.GIVE_UP_AFTER
    captioner.behave = lambda body, sent: GOOD
    remote(captioner)(asks(*numbers))
    assert len(captioner.bodies) == 5 + endpoint.GIVE_UP_AFTER + 55


def test_costs_are_by_the_prices_or_not_known(captioner: Captioner) -> None:
    counted, uncounted = Reply("a", tokens_in=1000, tokens_out=10), Reply("b")
    prices = {"price_per_million_input": 2.0, "price_per_million_output": 8.0}
    assert remote(captioner, **prices).cost_usd([counted, counted]) == pytest.approx(2 * (2000 + 80) / 1e6)
    assert remote(captioner, **prices).cost_usd([counted, uncounted]) is None
    assert remote(captioner).cost_usd([uncounted]) == 0.0
    assert tokens([1, 2]) == 3
    assert tokens([1, None]) is None
    assert tokens([]) == 0


def test_what_is_journaled_says_what_was_asked(captioner: Captioner, tmp_path: Path) -> None:
    remote(captioner)(asks("a"))
    (line,) = [line for path in tmp_path.rglob("*.jsonl") for line in path.read_text().splitlines()]
    assert json.loads(line)["request"] == {
        "model": "m",
        "max_tokens": 9,
        "temperature": 0.0,
        "prompt": "p",
        "text": "a",
    }
