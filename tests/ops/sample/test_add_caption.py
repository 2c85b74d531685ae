"""Captions become texts of their samples: after each image, or in the place of the nearest text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sluice.operator import Instance, registry
from sluice.operator.mapping import MapperChain
from sluice.sample import Item, Media, Sample


def image(name: str) -> Item:
    return Item("image", "image/jpeg", name, media=Media(data=b"not looked at"), hash="known")


def text(words: str, name: str = "txt") -> Item:
    return Item("text", "text/plain", name, text=words, hash="known")


def mapped(items: list[Item], captions: list[str | None], mode: str = "add") -> Sample:
    """The sample as the mapper makes it where its images have these captions."""
    asked = {"image_caption": {"url": "http://127.0.0.1:9/v1", "model": "m"}}  # never sent anything
    mapper = registry().bind("sample_add_caption", {"by": "endpoint", "mode": mode}, with_=asked)
    measure = mapper.bindings["image_caption"]
    known: Mapping[Instance, list[Any]] = {
        measure: [[None if words is None else (words, "m", "p", 3, 4, 0.1) for words in captions]]
    }
    (found,) = MapperChain([mapper], [measure])([Sample("id", "key", tuple(items))], known)
    return found


def words(sample: Sample) -> list[tuple[str, str | None]]:
    return [(item.name, item.text) for item in sample.items]


@pytest.mark.parametrize(
    ("names", "added"),
    [
        (["jpg"], ["txt"]),
        (["jpg", "txt"], ["caption"]),
        (["jpg", "txt", "caption"], ["1.caption"]),
        (["left.png"], ["left.txt"]),
        (["image"], ["image.txt"]),
        (["0.jpg", "1.jpg"], ["0.txt", "1.txt"]),
        (["jpg", "jpg"], ["txt", "caption"]),
        ([""], ["txt"]),
    ],
)
def test_each_caption_stands_after_its_image_under_a_free_name(names: list[str], added: list[str]) -> None:
    items = [text("old", n) if n in ("txt", "caption") else image(n) for n in names]
    count = sum(item.modality == "image" for item in items)
    found = mapped(items, [f"caption {k}" for k in range(count)])
    new = [item for item in found.items if item.hash is None]
    assert [(item.name, item.text) for item in new] == [(n, f"caption {k}") for k, n in enumerate(added)]
    for k, item in enumerate(found.items):
        if item.hash is None:
            assert found.items[k - 1].modality == "image"
    assert [item for item in found.items if item.hash is not None] == items


def test_replacing_gives_the_nearest_text_the_words_of_the_caption() -> None:
    found = mapped(
        [text("a", "0.txt"), image("1.jpg"), text("b", "2.txt"), image("3.jpg")], ["A", "B"], "replace"
    )
    # The first image lies between two texts: the earlier one is its.
    assert words(found) == [("0.txt", "A"), ("1.jpg", None), ("2.txt", "B"), ("3.jpg", None)]
    assert [item.hash for item in found.items] == [None, "known", None, "known"]


def test_replacing_adds_where_there_is_no_text() -> None:
    assert words(mapped([image("jpg")], ["A"], "replace")) == [("jpg", None), ("txt", "A")]


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_an_image_without_a_caption_changes_nothing(mode: str) -> None:
    items = [image("0.jpg"), image("1.jpg"), text("old", "2.txt")]
    assert [t for _, t in words(mapped(items, [None, "B"], mode)) if t] in (["B", "old"], ["B"])
    untouched = mapped(items, [None, None], mode)
    assert list(untouched.items) == items
    assert [note.kind for note in untouched.notes] == ["declined"]
    assert untouched.notes[0].reason.endswith("no captions")


def test_the_identity_of_the_sample_stays() -> None:
    found = mapped([image("jpg")], ["A"])
    assert (found.id, found.key, found.parent) == ("id", "key", None)
