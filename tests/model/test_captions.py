"""What a reply is worth: a caption, or none with its reason; and the prompts that are asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.errors import Declined, MissingError
from sluice.model.captions import caption_of
from sluice.model.endpoint import Reply
from sluice.model.prompts import NAMES, prompt_hash, prompt_text


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(""), "empty"),
        (Reply(" \n\t"), "empty"),
        (Reply("A dog on the", "length"), "truncated"),
        (Reply("I'm sorry, but I can't help with that."), "refused"),
        (Reply("I’m sorry, I cannot describe people."), "refused"),
        (Reply("As an AI language model, I do not see."), "refused"),
        (Reply("A dog.", "content_filter"), "refused"),
        (Reply("", "stop", "I will not look at this."), "refused"),
    ],
)
def test_what_is_no_caption_is_declined_with_its_reason(reply: Reply, reason: str) -> None:
    found = caption_of(reply)
    assert isinstance(found, Declined)
    assert found.reason == reason


@pytest.mark.parametrize(
    "text",
    ["A sign that reads “I cannot”.", "Two sorry dogs in the rain.", "猫が座っている。", "An AI poster."],
)
def test_captions_that_only_speak_of_refusals_stay(text: str) -> None:
    assert caption_of(Reply(f"  {text}\n", "stop")) == text


def test_a_caption_in_another_language_is_declined_where_one_is_asked_for() -> None:
    german = Reply("Eine rote Katze sitzt auf dem grünen Gras vor dem Haus.", "stop")
    found = caption_of(german, "en")
    assert isinstance(found, Declined)
    assert found.reason == "wrong language"
    assert found.what.startswith("de ")
    assert caption_of(german, "de") == caption_of(german) == german.text


def test_few_words_are_not_judged_by_their_language() -> None:
    assert caption_of(Reply("Eine rote Katze."), "en") == "Eine rote Katze."


def test_the_prompts_are_files_known_by_what_they_say(tmp_path: Path) -> None:
    ours = [prompt_hash(name, about) for about, names in NAMES.items() for name in names]
    assert len(set(ours)) == len(ours)
    copy = tmp_path / "mine.txt"
    copy.write_text(prompt_text("short") + "\n\n", encoding="utf-8")
    assert prompt_hash(str(copy)) == prompt_hash("short")
    copy.write_text("Name the colours.", encoding="utf-8")
    assert prompt_text(str(copy)) == "Name the colours."


def test_a_prompt_that_is_missing_or_empty_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="default, short, medium, long"):
        prompt_text("shrot")
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(MissingError, match="says nothing"):
        prompt_text(str(tmp_path / "empty.txt"))
