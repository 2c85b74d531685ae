"""An endpoint that answers well, badly, late or never: what is tried again, what fails, and what ends a run."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from caption_server import Answer, Captioner, completion, status
from sluice.errors import NoAnswerError, OperatorError, UnavailableError
from sluice.model import endpoint as module
from sluice.model.endpoint import GIVE_UP_AFTER, Endpoint, Reply, picture_part, text_part
from sluice.model.pace import Pace

PICTURE = b"\xff\xd8 not looked at"
PARTS = [text_part("What?"), picture_part(PICTURE, "jpeg")]
BODY = {"model": "m", "messages": [{"role": "user", "content": PARTS}]}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACK_OFF_S", 0.01)


def made(captioner: Captioner, **settings: Any) -> Endpoint:
    return Endpoint(captioner.url, **{"api_key": None, "timeout_s": 5.0, "retries": 2, **settings})


def in_turn(*answers: Answer | None) -> Any:
    """Behaviour that gives these answers one after another, the last for ever."""
    left: Iterator[Answer | None] = iter(answers)
    last = answers[-1]
    return lambda body, picture: next(left, last)


def test_the_request_is_a_chat_completion_with_the_picture_in_it(captioner: Captioner) -> None:
    captioner.behave = in_turn(completion("A dog."))
    reply = made(captioner, api_key="s3cret").ask(BODY)
    assert reply == Reply("A dog.", "stop", "", 100, 2)
    (body,), (headers,) = captioner.bodies, captioner.headers
    assert body == json.loads(json.dumps(BODY))
    assert body["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert headers["Authorization"] == "Bearer s3cret"


def test_without_a_key_none_is_sent(captioner: Captioner) -> None:
    captioner.behave = in_turn(completion("A dog."))
    made(captioner).ask(BODY)
    assert "Authorization" not in captioner.headers[0]


@pytest.mark.parametrize(
    "bad",
    [
        status(429),
        status(500),
        status(503),
        status(408),
        None,
        (200, {}, b""),
        (200, {}, b"<html>please wait</html>"),
        (200, {}, b"[1, 2]"),
        (200, {}, b'{"choices": []}'),
        (200, {}, b'{"choices": [{"message": {"content": 7}}]}'),
        (200, {"Content-Length": "9999"}, b'{"choices"'),
        (200, {}, b"[" * 200_000),
    ],
    ids=[
        "429",
        "500",
        "503",
        "408",
        "broken off",
        "nothing",
        "html",
        "list",
        "none",
        "no text",
        "cut",
        "deep",
    ],
)
def test_what_may_pass_is_tried_again_and_then_fails_alone(captioner: Captioner, bad: Answer | None) -> None:
    captioner.behave = in_turn(completion("first"), bad, completion("A dog."))
    asked = made(captioner, timeout_s=1.0)
    assert asked.ask(BODY).text == "first"
    assert asked.ask(BODY).text == "A dog."
    captioner.behave = in_turn(bad)
    with pytest.raises(NoAnswerError) as raised:
        asked.ask(BODY)
    assert raised.value.reason
    assert "after 3 tries" in str(raised.value)
    assert len(captioner.bodies) == 6


def test_a_retry_waits_as_long_as_it_is_told_to(captioner: Captioner) -> None:
    captioner.behave = in_turn(status(429, Retry_After="0.4"), completion("A dog."))
    made(captioner).ask(BODY)
    first, second = captioner.at_s
    assert 0.4 <= second - first < 3


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        (None, 0, 0),
        ("7", 7, 7),
        ("-3", 0, 0),
        ("nan", 0, 0),
        ("soon", 0, 0),
        ("Fri, 31 Dec 2199 23:59:59 GMT", 1e9, 1e10),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0, 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, low: float, high: float) -> None:
    assert low <= module._retry_after_s(value) <= high


def test_pauses_double_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACK_OFF_S", 1.0)
    pauses = [module._pause_s(attempt, 0.0) for attempt in range(12)]
    assert all(2**k / 2 <= pause <= 2**k for k, pause in enumerate(pauses[:6]))
    assert pauses[-1] == module._pause_s(0, 1e6) == module.LONGEST_PAUSE_S


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_request_that_is_refused_for_itself_is_not_repeated(captioner: Captioner, code: int) -> None:
    captioner.behave = in_turn(status(code, "image too small"))
    with pytest.raises(OperatorError, match="image too small") as raised:
        made(captioner).ask(BODY)
    assert raised.value.reason == f"HTTP {code}"
    assert not isinstance(raised.value, NoAnswerError)
    assert len(captioner.bodies) == 1


@pytest.mark.parametrize("code", [401, 403, 404, 307])
def test_what_is_hopeless_ends_the_run_at_once(captioner: Captioner, code: int) -> None:
    captioner.behave = in_turn(status(code, "go away", Location="http://127.0.0.1:9/v1"))
    with pytest.raises(UnavailableError, match=f"HTTP {code}") as raised:
        made(captioner, api_key="s3cret").ask(BODY)
    assert len(captioner.bodies) == 1
    assert "s3cret" not in str(raised.value)


def test_a_wrong_path_ends_the_run(captioner: Captioner) -> None:
    wrong = Endpoint(captioner.url + "/v2", api_key=None, timeout_s=5, retries=2)
    with pytest.raises(UnavailableError, match="no such path"):
        wrong.ask(BODY)


def test_an_endpoint_that_was_never_there_ends_the_run_after_its_retries() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nobody = Endpoint(f"http://127.0.0.1:{port}/v1", api_key=None, timeout_s=1, retries=1)
    with pytest.raises(UnavailableError, match="never answered"):
        nobody.ask(BODY)


def test_an_endpoint_that_accepts_and_says_nothing_is_not_waited_for_for_ever(captioner: Captioner) -> None:
    captioner.behave = in_turn(completion("first"))
    asked = made(captioner, timeout_s=0.2, retries=1)
    asked.ask(BODY)

    def slow(body: Any, picture: bytes) -> Answer:
        time.sleep(0.6)
        return completion("late")

    captioner.behave = slow
    started = time.monotonic()
    with pytest.raises(NoAnswerError) as raised:
        asked.ask(BODY)
    assert raised.value.reason == "time limit"
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("status_line", [b"HTTP/1.1 200 OK", b"HTTP/1.1 500 Overloaded"])
def test_a_reply_that_drips_is_cut_off(status_line: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def drip() -> None:
            link, _ = listener.accept()
            with link:
                link.recv(1 << 16)
                link.sendall(status_line + b"\r\nContent-Length: 100000\r\n\r\n")
                try:
                    for _ in range(200):
                        link.sendall(b" ")
                        time.sleep(0.02)
                except OSError:
                    pass

        thread = threading.Thread(target=drip)
        thread.start()
        started = time.monotonic()
        slow = Endpoint(f"http://127.0.0.1:{port}/v1", api_key=None, timeout_s=0.3, retries=0)
        with pytest.raises(NoAnswerError):
            slow.ask(BODY)
        assert time.monotonic() - started < 2
        thread.join()


def test_many_failures_in_a_row_end_the_run_and_one_success_starts_the_count_anew(
    captioner: Captioner,
) -> None:
    asked = made(captioner, retries=0)
    captioner.behave = in_turn(status(500))
    for _ in range(GIVE_UP_AFTER - 1):
        with pytest.raises(NoAnswerError):
            asked.ask(BODY)
    captioner.behave = in_turn(completion("A dog."))
    asked.ask(BODY)
    captioner.behave = in_turn(status(422))
    for _ in range(GIVE_UP_AFTER - 1):
        with pytest.raises(OperatorError):
            asked.ask(BODY)
    with pytest.raises(UnavailableError, match=f"{GIVE_UP_AFTER} requests in a row failed"):
        asked.ask(BODY)


def test_a_reply_of_odd_parts_is_taken_for_what_it_says(captioner: Captioner) -> None:
    odd = completion(None, "content_filter", refusal="I will not.")
    captioner.behave = in_turn(odd)
    assert made(captioner).ask(BODY) == Reply("", "content_filter", "I will not.", 100, 0)
    no_usage = {"choices": [{"message": {"content": "half \ud83d pair"}}], "usage": {"prompt_tokens": "many"}}
    captioner.behave = in_turn((200, {}, json.dumps(no_usage).encode()))
    reply = made(captioner).ask(BODY)
    assert reply == Reply("half \ufffd pair", "", "", None, None)


def test_requests_are_spaced_over_all_who_share_a_folder(tmp_path: Path) -> None:
    paces = [Pace(600, tmp_path), Pace(600, tmp_path)]
    started = time.monotonic()
    threads = [threading.Thread(target=pace.wait) for pace in paces for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.5 <= time.monotonic() - started < 3  # six slots, a tenth of a second apart


def test_without_a_limit_nobody_waits() -> None:
    started = time.monotonic()
    for _ in range(100):
        Pace(None, None).wait()
    assert time.monotonic() - started < 0.5
