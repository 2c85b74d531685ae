"""Captions by an endpoint: what is sent, what is paid, what is null with a reason, and what is never asked again."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from caption_server import Answer, Captioner, completion, picture_in, status, text_in
from sluice.errors import MissingError, PlanError, UnavailableError
from sluice.model import endpoint, journal
from sluice.model.prompts import text_hash
from sluice.operator import Instance, Measured, Program, registry
from sluice.sample import Item, Media, Sample
from sluice.storage import Location


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(endpoint, "BACK_OFF_S", 0.01)
    journal.use(Location(str(tmp_path)))
    yield
    journal.use(None)


def picture(seed: int, width: int = 64, height: int = 48, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def samples(*pictures: bytes) -> list[Sample]:
    return [
        Sample(id=str(k), key=str(k), items=(Item("image", name="png", media=Media(data=data)),))
        for k, data in enumerate(pictures)
    ]


def bound(captioner: Captioner, **settings: Any) -> Instance:
    return registry().bind("image_caption", {"url": captioner.url, "model": "m", "retries": 1, **settings})


def texts(measured: Measured) -> list[Any]:
    return [value for values in measured.columns["image_caption_text"] for value in values]


def notes(measured: Measured) -> list[tuple[str, str]]:
    return [(note.kind, note.reason) for of_sample in measured.notes for note in of_sample]


def test_a_caption_comes_with_what_made_it_and_what_it_took(captioner: Captioner) -> None:
    captioner.behave = lambda body, sent: completion("Two dogs in the snow.")
    prices = {"price_per_million_input": 2.0, "price_per_million_output": 8.0}
    made = Program([bound(captioner, prompt="short", **prices)])(samples(picture(0)))
    row = {name.removeprefix("image_caption_"): values[0][0] for name, values in made.columns.items()}
    assert row == {
        "text": "Two dogs in the snow.",
        "model": "m",
        "prompt": row["prompt"],
        "tokens_in": 100,
        "tokens_out": 5,
        "cost_usd": pytest.approx((100 * 2 + 5 * 8) / 1e6),
    }
    assert len(row["prompt"]) == 16


def test_a_prompt_is_read_once(captioner: Captioner, tmp_path: Path) -> None:
    path, text = tmp_path / "prompt.txt", "What is there?"
    path.write_text(text)
    program = Program([bound(captioner, prompt=str(path))]).open()
    path.write_text("Something else?")
    made = program(samples(picture(0)))
    assert text_in(captioner.bodies[0]) == text
    assert made.columns["image_caption_prompt"] == [[text_hash(text)]]


def test_the_picture_is_sent_small_upright_and_as_asked(captioner: Captioner) -> None:
    for kind in ("jpeg", "png"):
        settings = {"format": kind, "max_pixels": 10_000, "max_tokens": 77, "temperature": 0.5}
        Program([bound(captioner, **settings)])(samples(picture(0, 400, 300)))
        body = captioner.bodies[-1]
        sent = Image.open(io.BytesIO(picture_in(body)))
        assert sent.format == kind.upper()
        assert 9_000 <= sent.width * sent.height <= 10_000
        assert abs(sent.width / sent.height - 4 / 3) < 0.03
        assert (body["model"], body["max_tokens"], body["temperature"]) == ("m", 77, 0.5)


def test_pictures_are_never_enlarged_and_thin_ones_stay_pictures(captioner: Captioner) -> None:
    made = Program([bound(captioner, max_pixels=1024, format="png")])(
        samples(picture(0, 9, 7), picture(1, 1, 10_000))
    )
    sizes = {Image.open(io.BytesIO(picture_in(body))).size for body in captioner.bodies}
    assert (9, 7) in sizes
    assert None not in texts(made)


def test_nothing_is_asked_twice_by_the_same_or_another_process(captioner: Captioner, tmp_path: Path) -> None:
    pictures = [picture(k) for k in (0, 1, 0, 2)]
    first = Program([bound(captioner)])(samples(*pictures))
    assert len(captioner.bodies) == 3  # equal pictures share a reply
    again = Program([bound(captioner)])(samples(*pictures, picture(3)))
    assert len(captioner.bodies) == 4
    assert texts(again)[:4] == texts(first)
    lines = [line for path in tmp_path.rglob("*.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) == 4
    assert json.loads(lines[0])["request"]["model"] == "m"


def test_guards_and_prices_may_change_without_paying_again(captioner: Captioner) -> None:
    Program([bound(captioner)])(samples(picture(0)))
    priced = Program([bound(captioner, price_per_million_input=3.0, language="de")])(samples(picture(0)))
    assert len(captioner.bodies) == 1
    assert texts(priced) == [None]
    assert notes(priced) == [("declined", "wrong language")]
    assert priced.columns["image_caption_cost_usd"] == [[pytest.approx(300 / 1e6)]]


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"prompt": "long"},
        {"max_tokens": 9},
        {"temperature": 1.0},
        {"max_pixels": 2048},
        {"format": "png"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_a_caption_depends_on_is_asked_anew(captioner: Captioner, change: dict[str, Any]) -> None:
    Program([bound(captioner)])(samples(picture(0)))
    Program([bound(captioner, **change)])(samples(picture(0)))
    assert len(captioner.bodies) == 2
    assert bound(captioner, **change).fingerprint != bound(captioner).fingerprint


def test_how_a_reply_is_fetched_is_no_part_of_a_caption(captioner: Captioner, monkeypatch: Any) -> None:
    monkeypatch.setenv("SOME_KEY", "s3cret")
    how = {
        "url": "https://elsewhere.example/v1",
        "api_key_env": "SOME_KEY",
        "concurrency": 2,
        "timeout_s": 3.0,
        "retries": 9,
        "requests_per_minute": 5.0,
    }
    for name, value in how.items():
        assert bound(captioner, **{name: value}).fingerprint == bound(captioner).fingerprint, name


def test_requests_run_together_as_far_as_allowed(captioner: Captioner) -> None:
    def slow(body: Any, sent: bytes) -> Answer:
        time.sleep(0.05)
        return completion("A dog.")

    captioner.behave = slow
    Program([bound(captioner, concurrency=3)])(samples(*(picture(k) for k in range(9))))
    assert captioner.most_at_once == 3


def test_what_fails_is_its_own_sample_and_the_others_have_captions(captioner: Captioner) -> None:
    marked = picture(1, 40, 40)

    def behave(body: Any, sent: bytes) -> Answer:
        return status(500) if Image.open(io.BytesIO(sent)).size == (40, 40) else completion("A dog.")

    captioner.behave = behave
    broken = samples(picture(0), marked, b"no picture", picture(2))
    made = Program([bound(captioner)])(broken)
    assert texts(made) == ["A dog.", None, None, "A dog."]
    assert notes(made) == [("crash", "image_caption: HTTP 500"), ("unreadable", "not an image")]
    captioner.behave = lambda body, sent: completion("A cat.")
    assert texts(Program([bound(captioner)])(broken)) == ["A dog.", "A cat.", None, "A dog."]


def test_an_endpoint_that_fails_for_all_ends_the_run_but_keeps_what_was_paid(captioner: Captioner) -> None:
    captioner.behave = lambda body, sent: completion("A dog.")
    Program([bound(captioner)])(samples(picture(0)))
    captioner.behave = lambda body, sent: status(503)
    with pytest.raises(UnavailableError, match="in a row failed"):
        Program([bound(captioner, retries=0)])(samples(*(picture(k) for k in range(40))))
    assert len(captioner.bodies) < 30
    captioner.behave = lambda body, sent: completion("A dog.")
    before = len(captioner.bodies)
    Program([bound(captioner)])(samples(picture(0)))
    assert len(captioner.bodies) == before


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [("", "stop", "empty"), ("I'm sorry, I can't.", "stop", "refused"), ("A dog on", "length", "truncated")],
)
def test_what_is_no_caption_is_null_with_its_reason_and_its_price(
    captioner: Captioner, text: str, finish: str, reason: str
) -> None:
    captioner.behave = lambda body, sent: completion(text, finish)
    made = Program([bound(captioner)])(samples(picture(0)))
    assert texts(made) == [None]
    assert notes(made) == [("declined", reason)]
    assert made.columns["image_caption_tokens_in"] == [[100]]


def test_a_reply_without_counts_has_no_price_where_one_is_due(captioner: Captioner) -> None:
    reply = {"choices": [{"message": {"content": "A dog."}, "finish_reason": "stop"}]}
    captioner.behave = lambda body, sent: (200, {}, json.dumps(reply).encode())
    made = Program([bound(captioner, price_per_million_input=1.0)])(samples(picture(0)))
    assert texts(made) == ["A dog."]
    assert made.columns["image_caption_tokens_in"] == [[None]]
    assert made.columns["image_caption_cost_usd"] == [[None]]


def test_the_key_comes_from_the_environment_and_stands_nowhere(
    captioner: Captioner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unset = bound(captioner, api_key_env="OUR_KEY")
    with pytest.raises(MissingError, match="OUR_KEY"):
        unset.contents  # noqa: B018
    monkeypatch.setenv("OUR_KEY", "s3cret")
    keyed = bound(captioner, api_key_env="OUR_KEY")
    Program([keyed])(samples(picture(0)))
    assert captioner.headers[0]["Authorization"] == "Bearer s3cret"
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "s3cret" not in written + json.dumps(dict(keyed.settings)) + json.dumps(keyed.contents)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///etc/passwd",
        "ftp://host/v1",
        "localhost:8000/v1",
        "http://user:key@host/v1",
        "http://h/v1?key=1",
    ],
)
def test_an_address_that_is_none_or_holds_a_key_is_refused(url: str) -> None:
    with pytest.raises(PlanError, match="url"):
        registry().bind("image_caption", {"url": url, "model": "m"})
