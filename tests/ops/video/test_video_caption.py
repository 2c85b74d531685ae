"""Captions of windows by an endpoint: what is sent, what is paid, what is null and why, what is never asked twice."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from caption_server import Captioner, completion, picture_in, pictures_in, status, text_in
from made_videos import made, numbered
from sluice.model import endpoint, journal
from sluice.model.prompts import text_hash
from sluice.operator import Instance, Measured, Program, registry
from sluice.sample import Item, Media, Sample
from sluice.storage import Location

PREFIX = "video_caption_"


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(endpoint, "BACK_OFF_S", 0.01)
    journal.use(Location(str(tmp_path)))
    yield
    journal.use(None)


def video(frames: int, seed: int = 0) -> bytes:
    """So many pictures, no two alike, and none alike in videos of other seeds."""
    pictures = numbered(frames, 96, 64, first=200 * seed)
    return made(pictures, fps=30, options={"preset": "ultrafast", "g": "60"})


def samples(*videos: bytes) -> list[Sample]:
    return [
        Sample(id=str(k), key=str(k), items=(Item("video", "video/mp4", "mp4", media=Media(data=data)),))
        for k, data in enumerate(videos)
    ]


def bound(captioner: Captioner, **settings: Any) -> Instance:
    return registry().bind("video_caption", {"url": captioner.url, "model": "m", "retries": 1, **settings})


def column(measured: Measured, name: str) -> list[Any]:
    return [value for values in measured.columns[PREFIX + name] for value in values]


def windows(measured: Measured) -> list[list[dict[str, Any]]]:
    return [json.loads(value) for value in column(measured, "windows")]


def test_each_window_is_captioned_by_its_frames(captioner: Captioner) -> None:
    captioner.behave = lambda body, sent: completion(f"It shows {len(pictures_in(body))} frames.")
    prices = {"price_per_million_input": 2.0, "price_per_million_output": 8.0}
    found = Program([bound(captioner, prompt="short", **prices)])(samples(video(640)))
    assert windows(found) == [
        [
            {
                "start_frame": start,
                "end_frame": end,
                "text": f"It shows {frames} frames.",
                "prompt_tokens": 100,
                "completion_tokens": 4,
            }
            for start, end, frames in ((0, 256, 18), (256, 512, 18), (512, 640, 9))
        ]
    ]
    row = {name.removeprefix(PREFIX): values[0][0] for name, values in found.columns.items()}
    assert row["text"] == "It shows 18 frames.\n\nIt shows 18 frames.\n\nIt shows 9 frames."
    assert (row["tokens_in"], row["tokens_out"], row["uncaptioned_count"]) == (300, 12, 0)
    assert row["cost_usd"] == pytest.approx((300 * 2 + 12 * 8) / 1e6)
    assert (row["model"], len(row["prompt"])) == ("m", 16)
    assert {Image.open(io.BytesIO(picture_in(body))).format for body in captioner.bodies} == {"JPEG"}
    assert all("frames of one video clip" in text_in(body) for body in captioner.bodies)


def test_a_prompt_is_read_once(captioner: Captioner, tmp_path: Path) -> None:
    path, text = tmp_path / "prompt.txt", "What is there?"
    path.write_text(text)
    program = Program([bound(captioner, prompt=str(path))]).open()
    path.write_text("Something else?")
    made = program(samples(video(40)))
    assert text_in(captioner.bodies[0]) == text
    assert column(made, "prompt") == [text_hash(text)]


def test_a_clip_of_three_frames_has_no_window(captioner: Captioner) -> None:
    found = Program([bound(captioner)])(samples(video(3), video(4, 1)))
    assert [note.reason for note in found.notes[0]] == ["too few frames"]
    assert column(found, "text")[0] is None
    assert column(found, "text")[1]
    assert len(captioner.bodies) == 1


def test_no_window_is_asked_twice_not_even_of_another_file_with_the_same_frames(captioner: Captioner) -> None:
    data = video(300)
    span = Sample("span", "span", (Item("video", media=Media(data=data, start_s=0.0, end_s=10.0)),))
    first = Program([bound(captioner)])([*samples(data, data), span])
    assert len(captioner.bodies) == 1
    again = Program([bound(captioner, language="en", price_per_million_input=1.0)])(samples(data))
    assert len(captioner.bodies) == 1
    assert column(again, "text") == column(first, "text")[:1]


@pytest.mark.parametrize(
    "change",
    [{"model": "other"}, {"prompt": "driving"}, {"max_tokens": 9}, {"fps": 4.0}, {"max_pixels": 2048}],
    ids=lambda change: next(iter(change)),
)
def test_whatever_a_caption_depends_on_is_asked_anew(captioner: Captioner, change: dict[str, Any]) -> None:
    data = samples(video(40))
    Program([bound(captioner)])(data)
    Program([bound(captioner, **change)])(data)
    assert len(captioner.bodies) == 2
    assert bound(captioner, **change).fingerprint != bound(captioner).fingerprint


def test_a_window_without_a_caption_is_null_with_its_reason_and_the_others_stay(captioner: Captioner) -> None:
    replies = iter(
        [
            completion("A street."),
            completion("I'm sorry, I cannot describe this."),
            completion("A car that", "length"),
            completion(" \n"),
            completion("Eine rote Katze sitzt auf dem grünen Gras vor dem Haus."),
        ]
    )
    captioner.behave = lambda body, sent: next(replies)
    settings = {"concurrency": 1, "language": "en", "window_frames": 20, "min_remainder_frames": 20}
    (said,) = windows(found := Program([bound(captioner, **settings)])(samples(video(100))))
    told = [(each["text"], each.get("reason")) for each in said]
    assert told == [
        ("A street.", None),
        (None, "refused"),
        (None, "truncated"),
        (None, "empty"),
        (None, "wrong language"),
    ]
    assert column(found, "text") == ["A street."]
    assert column(found, "uncaptioned_count") == [4]
    assert column(found, "tokens_in") == [500]
    assert found.notes == [[]]


def test_a_clip_without_any_caption_is_null_with_the_reason_and_its_price(captioner: Captioner) -> None:
    captioner.behave = lambda body, sent: completion("")
    found = Program([bound(captioner, price_per_million_input=1.0)])(samples(video(40)))
    assert column(found, "text") == [None]
    assert [(note.kind, note.reason) for note in found.notes[0]] == [("declined", "empty")]
    assert column(found, "cost_usd") == [pytest.approx(100 / 1e6)]


def test_a_clip_one_of_whose_windows_fails_fails_alone_and_pays_only_for_that_when_retried(
    captioner: Captioner,
) -> None:
    captioner.behave = lambda body, sent: (
        status(500) if len(pictures_in(body)) == 3 else completion("A street.")
    )
    settings = {"window_frames": 40, "min_remainder_frames": 20, "retries": 0}
    clips = samples(video(20), video(60, 1), b"no video", video(20, 2))  # the second has windows of 40 and 20
    found = Program([bound(captioner, **settings)])(clips)
    assert [(n.kind, n.reason) for notes in found.notes for n in notes] == [
        ("crash", "video_caption: HTTP 500"),
        ("unreadable", "not a video"),
    ]
    assert column(found, "text") == ["A street.", None, None, "A street."]
    captioner.behave = lambda body, sent: completion("A square.")
    asked = len(captioner.bodies)
    again = Program([bound(captioner, **settings)])(clips)
    assert column(again, "text") == ["A street.", "A square.\n\nA street.", None, "A street."]
    assert len(captioner.bodies) == asked + 1


def test_what_is_under_way_together_is_bounded(captioner: Captioner) -> None:
    import time

    def slow(body: Any, sent: bytes) -> Any:
        time.sleep(0.05)
        return completion("A street.")

    captioner.behave = slow
    settings = {"concurrency": 3, "window_frames": 8, "min_remainder_frames": 8}
    Program([bound(captioner, **settings)])(samples(video(72)))
    assert captioner.most_at_once == 3
