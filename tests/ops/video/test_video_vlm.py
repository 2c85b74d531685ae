"""Questions about clips by an endpoint: yes, no, or null with a reason; never a no that nobody said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caption_server import Captioner, completion, pictures_in, text_in
from made_videos import made, numbered
from sluice.errors import Declined, RecipeError
from sluice.model import endpoint, journal
from sluice.model.endpoint import Reply
from sluice.model.prompts import prompt_text
from sluice.operator import Measured, Program, registry
from sluice.ops.video.vlm import QUESTIONS, answers
from sluice.plan import plan
from sluice.recipe.load import loads
from sluice.sample import Item, Media, Sample
from sluice.storage import Location


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(endpoint, "BACK_OFF_S", 0.01)
    journal.use(Location(str(tmp_path)))
    yield
    journal.use(None)


def clips(*videos: bytes) -> list[Sample]:
    return [Sample(str(k), str(k), (Item("video", media=Media(data=v)),)) for k, v in enumerate(videos)]


def video(frames: int = 60) -> bytes:
    return made(numbered(frames, 96, 64), fps=30, options={"preset": "ultrafast"})


def asked(captioner: Captioner, name: str, clip: bytes | None = None, **settings: Any) -> Measured:
    settings = {"url": captioner.url, "model": "m", "retries": 0, **settings}
    return Program([registry().bind(name, settings)])(clips(video() if clip is None else clip))


def reasons(measured: Measured) -> set[tuple[str, str]]:
    return {(note.kind, note.reason) for notes in measured.notes for note in notes}


def test_every_question_is_a_column_and_asked_by_its_name() -> None:
    (spec,) = [spec for spec in registry() if spec.name == "video_vlm"]
    booleans = [output.name for output in spec.outputs if output.kind == "bool"]
    assert booleans == [f"video_vlm_{name}" for name in QUESTIONS]
    lines = prompt_text("default", "questions").splitlines()
    assert [line.partition(":")[0] for line in lines if line.endswith("?")] == list(QUESTIONS)


def test_yes_and_no_are_told_apart_and_paid_for_once(captioner: Captioner) -> None:
    said = {name: ("yes", "no", True, "No.", "YES")[k % 5] for k, name in enumerate(QUESTIONS)}
    captioner.behave = lambda body, sent: completion(f"```json\n{json.dumps(said)}\n```")
    found = asked(captioner, "video_vlm", price_per_million_input=1.0)
    values = [found.columns[f"video_vlm_{name}"][0][0] for name in QUESTIONS]
    assert values == [(True, False, True, False, True)[k % 5] for k in range(len(QUESTIONS))]
    assert found.columns["video_vlm_cost_usd"] == [[pytest.approx(100 / 1e6)]]
    assert len(pictures_in(captioner.bodies[0])) == 4
    assert text_in(captioner.bodies[0]) == prompt_text("default", "questions")
    asked(captioner, "video_vlm")
    assert len(captioner.bodies) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("No.", "malformed reply"),
        ("[]", "malformed reply"),
        ('{"slideshow": "no"', "malformed reply"),
        ('{"slideshow": "no"} {"slideshow": "yes"}', "malformed reply"),
        ("[" * 100_000, "malformed reply"),
        ("", "empty"),
        ("I'm sorry, I can't answer that.", "refused"),
        ("{}", "no answer"),
        ('{"slideshow": "maybe"}', "malformed answer"),
        ('{"slideshow": 0}', "malformed answer"),
        ('{"slideshow": null}', "malformed answer"),
        ('{"slideshow": ["no"]}', "malformed answer"),
        ('{"slideshow": "no", "slideshow": "yes"}', "malformed answer"),
        ('{"slideshow": "no", "slideshow": "no"}', "malformed answer"),
    ],
)
def test_what_is_neither_yes_nor_no_is_null_with_a_reason(text: str, reason: str) -> None:
    found = answers(Reply(text, "stop"))
    assert isinstance(found[0], Declined)
    assert found[0].reason == reason


@given(
    st.text(max_size=200) | st.dictionaries(st.sampled_from(QUESTIONS), st.text(max_size=8)).map(json.dumps)
)
def test_no_reply_at_all_becomes_a_no_that_it_does_not_say(text: str) -> None:
    for name, answer in zip(QUESTIONS, answers(Reply(text, "stop")), strict=True):
        if not isinstance(answer, Declined):
            assert name in text
            assert ("yes" if answer else "no") in text.lower() or str(answer).lower() in text.lower()


def test_a_malformed_reply_leaves_nulls_that_are_counted(captioner: Captioner) -> None:
    captioner.behave = lambda body, sent: completion("None of these.")
    found = asked(captioner, "video_vlm")
    assert {found.columns[f"video_vlm_{name}"][0][0] for name in QUESTIONS} == {None}
    assert found.columns["video_vlm_tokens_in"] == [[100]]
    assert reasons(found) == {("declined", "malformed reply")}


def test_a_clip_that_cannot_be_decoded_is_no_answer(captioner: Captioner) -> None:
    found = asked(captioner, "video_vlm", b"no video")
    assert reasons(found) == {("unreadable", "not a video")}
    assert captioner.bodies == []


def test_a_long_clip_is_shown_by_few_frames(captioner: Captioner) -> None:
    captioner.behave = lambda body, sent: completion("sport")
    asked(captioner, "video_content_type", max_frames=3)
    assert len(pictures_in(captioner.bodies[0])) == 3


@pytest.mark.parametrize(
    ("text", "label", "reason"),
    [
        ("Cats", "cats", None),
        ('"dogs at play".', "dogs at play", None),
        ("**cats**", "cats", None),
        ("It shows cats.", None, "not a label"),
        ("cats, dogs at play", None, "not a label"),
        ("", None, "empty"),
        ("I cannot tell.", None, "refused"),
    ],
)
def test_the_content_type_is_a_label_of_the_list_or_null(
    captioner: Captioner, text: str, label: str | None, reason: str | None
) -> None:
    captioner.behave = lambda body, sent: completion(text)
    found = asked(captioner, "video_content_type", labels=["cats", "dogs at play"])
    assert found.columns["video_content_type"] == [[label]]
    assert {r for _, r in reasons(found)} == ({reason} if reason else set())
    assert text_in(captioner.bodies[0]).endswith("\n\ncats\ndogs at play")
    assert found.columns["video_content_type_tokens_in"] == [[100]]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["cats", "dogs", "Cats."], "the labels 'cats' and 'Cats.' are one"),
        (["cats", " * "], "the label ' * ' has no word"),
    ],
)
def test_labels_that_no_reply_can_tell_apart_are_a_wrong_setting(labels: list[str], said: str) -> None:
    settings = json.dumps({"url": "http://127.0.0.1:9/v1", "model": "m", "labels": labels})
    recipe = loads(f"source: in\nsteps:\n  - measure: {{video_content_type: {settings}}}\n", file="r.yaml")
    with pytest.raises(RecipeError) as caught:
        plan(recipe, registry())
    assert said in str(caught.value)
    assert caught.value.where == "r.yaml:3"


def test_other_labels_are_another_question(captioner: Captioner) -> None:
    captioner.behave = lambda body, sent: completion("cats")
    for labels in (["cats", "dogs"], ["cats", "birds"]):
        asked(captioner, "video_content_type", labels=labels)
    assert len(captioner.bodies) == 2
