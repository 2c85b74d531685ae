"""Documents as captioned pictures: which text an image gets, what travels with the pair, and what makes none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.operator import registry
from sluice.operator.splitting import Family, Splitter
from sluice.ops.interleaved.captions import is_caption
from sluice.sample import Item, Media, Sample

PROSE = "It had rained for days. " * 12
GONE = Media(uri="/nonexistent/gone", size=9)
"""A view that cannot be read: whoever reads it fails."""


def image(name: str, media: Media | None = GONE, **fields: Any) -> Item:
    """An image with fields of its own."""
    return Item("image", "image/jpeg", name, media=media, fields=fields)


def text(name: str, words: str) -> Item:
    """A text."""
    return Item("text", "text/plain", name, text=words)


def family(*items: Item, **settings: Any) -> Family:
    """What the splitter makes of a document of these items."""
    return Splitter(registry().bind("sample_split_pairs", settings))(
        Sample("parent", "a/b", items, {"url": "u"})
    )


def pairs(*items: Item, **settings: Any) -> list[tuple[str, str, str]]:
    """Of each child the image's source (by its field), its text and where that is from."""
    found = []
    for child in family(*items, **settings).children:
        picture, words = child.items
        found.append((picture.fields.get("is", ""), words.text or "", words.fields["text_from"]))
    return found


def test_an_image_gets_the_nearest_text_the_earlier_of_a_tie() -> None:
    document = (
        text("0.txt", "one"),
        image("1.jpg", is_="a"),
        text("2.txt", "two"),
        image("3.png"),
        image("4.jpg"),
    )
    made = family(Item("metadata", "application/json", "json"), *document)
    assert [(c.items[1].text, c.items[1].fields["text_from"]) for c in made.children] == [
        ("one", "0.txt"),
        ("two", "2.txt"),
        ("two", "2.txt"),
    ]
    assert [[item.name for item in c.items] for c in made.children] == [
        ["jpg", "txt"],
        ["png", "txt"],
        ["jpg", "txt"],
    ]


@given(st.lists(st.sampled_from(["image", "text", "blank"]), max_size=12))
@settings(deadline=None)
def test_nearest_makes_one_pair_an_image_in_their_order(kinds: list[str]) -> None:
    items = [
        image(f"{k}.jpg", Media(data=b"x"), at=k)
        if kind == "image"
        else text(f"{k}.txt", kind.strip("blank") and "w")
        for k, kind in enumerate(kinds)
    ]
    made = family(*items)
    places = [k for k, kind in enumerate(kinds) if kind == "image"]
    words = [k for k, kind in enumerate(kinds) if kind == "text"]
    if not places or not words:
        assert made.note is not None
        assert (made.note.kind, made.note.reason) == ("declined", "no pairs")
        return
    assert [child.items[0].fields["at"] for child in made.children] == places
    for at, child in zip(places, made.children, strict=True):
        chosen = int(child.items[1].fields["text_from"].removesuffix(".txt"))
        assert abs(chosen - at) == min(abs(k - at) for k in words)


def test_a_pair_is_a_captioned_picture_with_what_belongs_to_the_document() -> None:
    picture = image("1.jpeg", alt="a dog", url="https://a.example/dog")
    words = Item("text", "text/plain", "0.txt", text="A dog.", fields={"role": "user"})
    sidecar = Item("other", "", "cls", media=Media(data=b"7"))
    metadata = Item("metadata", "application/json", "json", media=Media(data=b"{}"), hash="h")
    placed = Item("other", "", "2.npy", media=Media(data=b"8"))
    (child,) = family(words, picture, placed, sidecar, metadata).children
    assert (child.key, child.parent, child.fields) == ("a/b_0000", "parent", {"url": "u"})
    assert [item.name for item in child.items] == ["jpeg", "txt", "cls", "json"]
    assert child.items[0].media is picture.media
    assert child.items[0].fields == picture.fields
    assert child.items[1].fields == {"role": "user", "text_from": "0.txt"}
    assert child.items[2:] == (sidecar, metadata)


def test_texts_of_tars_are_read_and_go_on_as_views() -> None:
    words = Item("text", "text/plain", "0.txt", media=Media(data=b"Two dogs on the grass"))
    for setting in ("nearest", "caption"):
        (child,) = family(words, image("1.jpg"), text=setting).children
        assert child.items[1].media is words.media


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"caption": "the cat on a mat", "alt": "a cat on something"}, ("the cat on a mat", "caption")),
        ({"alt": "IMG_0001.jpg", "title": " A cat at rest "}, ("A cat at rest", "title")),
        ({"alt": "word " * 200}, (("word " * 200).strip(), "alt")),
        ({"alt": "word " * 300, "caption": 7, "title": None}, ("A red bus in town", "2.txt")),
        ({}, ("A red bus in town", "2.txt")),
    ],
)
def test_an_images_own_caption_comes_first(fields: dict[str, Any], wanted: tuple[str, str]) -> None:
    items = (
        text("0.txt", "A short text before"),
        image("1.jpg", **fields),
        text("2.txt", "A red bus in town"),
    )
    assert [made[1:] for made in pairs(*items, text="caption")] == [wanted]


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ("A short text before", PROSE, ["0.txt"]),
        (PROSE, PROSE, []),
        (PROSE, f"Figure 3: {PROSE}", ["2.txt"]),
        ("Abb. 2 – Ein Haus am See", "Foto: dpa", ["0.txt"]),
        ("One two three\n\nfour five six", " ", []),
    ],
)
def test_of_neighbours_the_first_that_reads_like_a_caption(
    before: str, after: str, wanted: list[str]
) -> None:
    items = (text("0.txt", before), image("1.jpg"), text("2.txt", after), image("3.jpg", None))
    assert [made[2] for made in pairs(*items, text="caption")] == wanted


def test_a_text_is_the_caption_of_one_image_only() -> None:
    items = (image("0.jpg", is_=1), text("1.txt", "Two dogs on grass"), image("2.jpg"), image("3.jpg"))
    assert [made[2] for made in pairs(*items, text="caption")] == ["1.txt"]
    assert len(pairs(*items, text="nearest")) == 3
    gallery = (image("0.jpg"), image("1.jpg"), text("2.txt", "Two dogs on grass"))
    (child,) = family(*gallery, text="caption").children
    assert child.key == "a/b_0000"


@pytest.mark.parametrize(
    ("words", "said", "wanted"),
    [
        ("Two dogs run", False, True),
        ("A dog", True, False),
        ("a b c", True, False),
        ("- - - - - - -", True, False),
        ("word " * 50, False, True),
        ("word " * 51, False, False),
        ("Photo: " + "word " * 256, False, True),
        ("Photo: " + "word " * 257, False, False),
        ("Figure 12a. A dog", False, False),
        ("Fig. 2.1: Two dogs run", False, True),
        ("Imagery of " + "war " * 60, False, False),
        ("One line of it\nand another", False, True),
        ("One paragraph of it\n \nand another", True, False),
        ("一只猫坐在垫子上", False, True),
        ("一只猫坐", False, False),
        ("", True, False),
    ],
)
def test_what_reads_like_a_caption(words: str, said: bool, wanted: bool) -> None:
    assert is_caption(words, said=said) is wanted


@pytest.mark.parametrize(
    ("items", "kind", "reason"),
    [
        ((), "declined", "no pairs"),
        ((text("0.txt", "words"),), "declined", "no pairs"),
        ((image("0.jpg"),), "declined", "no pairs"),
        ((image("0.jpg", None, url="https://a.example/x.jpg"), text("1.txt", "w")), "declined", "no pairs"),
        ((image("0.jpg"), Item("text", media=Media(data=b"\xff\xfe\xfa"))), "unreadable", "not UTF-8"),
        ((image("0.jpg"), Item("text")), "unreadable", "no bytes"),
    ],
)
def test_what_makes_no_pairs_says_why(items: tuple[Item, ...], kind: str, reason: str) -> None:
    made = family(*items)
    assert made.children == ()
    assert made.note is not None
    assert (made.note.kind, made.note.reason) == (kind, reason)


def test_a_mere_reference_makes_no_pair_and_is_told() -> None:
    items = (image("0.jpg", None, url="https://a.example/x.jpg"), text("1.txt", "words"))
    note = family(*items).note
    assert note is not None
    assert note.detail == "1 images, 1 of them without bytes; 1 other items"
    assert len(family(*items, image("2.jpg")).children) == 1


def test_a_huge_document_is_split_at_once() -> None:
    items = [
        item
        for k in range(10_000)
        for item in (image(f"{2 * k}.jpg"), text(f"{2 * k + 1}.txt", "Two dogs run"))
    ]
    for setting in ("nearest", "caption"):
        assert len(family(*items, text=setting).children) == 10_000
