"""Operators on texts over whole documents: the same functions, given all texts of a sample as one."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import declared_operators
import pytest
from declared_operators import CALLS, registered
from hypothesis import given
from hypothesis import strategies as st

import stand_ins
from sluice.errors import PlanError
from sluice.operator import Instance, Program, Spec, registry
from sluice.operator.check import check, check_spawned, check_together
from sluice.sample import Item, Media, Note, Sample

KNOWN = registered()
MEASURES = [spec for spec in registry() if spec.kind == "measure" and spec.scope == "text"]
assert declared_operators


def document(*parts: str | bytes | None, key: str = "d") -> Sample:
    """Texts in hand, texts as bytes, and pictures in between (None)."""
    items = [
        Item("image", name=f"{k}.jpg", media=Media(data=b""))
        if part is None
        else Item("text", name=f"{k}.txt", text=part)
        if isinstance(part, str)
        else Item("text", name=f"{k}.txt", media=Media(data=part))
        for k, part in enumerate(parts)
    ]
    return Sample(id=key, key=key, items=(Item("metadata", "application/json", "json"), *items))


def over(name: str, alias: str = "", **settings: object) -> Instance:
    return registry().bind(
        name, settings, alias=alias or name.replace("text", "document", 1), over="document"
    )


SAMPLES = [
    document("One two three.", None, "Four five.\n\nSix", key="a"),
    document("One two three.", key="b"),
    document(b"As bytes\n", None, "and in hand", key="c"),
    document("", "Seven", " ", key="d"),
]


@pytest.mark.parametrize(
    "name",
    ["text_word_count", "text_length", "text_line", "text_paragraph", "text_minhash", "text_language", "text_pii_count",
     "text_content_hash", "text_ngram", "text_url_ratio"],
)  # fmt: skip
def test_a_document_is_measured_as_its_texts_joined_by_blank_lines(name: str) -> None:
    joined = [
        document("One two three.\n\nFour five.\n\nSix"),
        document("One two three."),
        document("As bytes\n\n\nand in hand"),
        document("\n\nSeven\n\n "),
    ]
    whole, item = over(name), registry().bind(name)
    found, wanted = Program([whole])(SAMPLES), Program([item])(joined)
    for ours, theirs in zip(whole.made, item.made, strict=True):
        assert found.columns[ours] == [value[0] for value in wanted.columns[theirs]]
    assert [(o.name, o.kind, o.field) for o in whole.outputs] == [
        (o.name.replace("text", "document", 1), o.kind, o.field) for o in item.outputs
    ]


def test_documents_without_a_text_have_no_value_and_a_reason() -> None:
    samples = [document(None), document(), document(b"\xff\xfe\xfa"), document(b"\xff\xfe\xfa", None, "good")]
    found = Program([over("text_word_count"), over("text_length")])(samples)
    assert found.columns == {
        "document_word_count": [None, None, None, 1],
        "document_length": [None, None, None, 4],
    }
    nothing = [Note("declined", "no text", "", name) for name in ("document_word_count", "document_length")]
    assert sorted(found.notes[0], key=str) == sorted(nothing, key=str) == sorted(found.notes[1], key=str)
    for notes, item in ((found.notes[2], 1), (found.notes[3], 1)):
        assert [(n.kind, n.reason, n.item) for n in notes] == [("unreadable", "not UTF-8", item)]


def test_features_are_shared_once_a_document_and_apart_from_the_items() -> None:
    CALLS.clear()
    instances = [
        KNOWN.bind("text_vowel_share", alias="whole", over="document"),
        KNOWN.bind("text_letters", alias="size", over="document"),
        KNOWN.bind("text_vowel_share"),
    ]
    found = Program(instances)([document("abe", "xyz"), document("o")])
    assert found.columns == {
        "whole": [2 / 8, 1.0],
        "size": [8, 1],
        "text_vowel_share": [[2 / 3, 0.0], [1.0]],
    }
    assert CALLS == {"letters": 5, "text_letters": 5, "text_vowels": 5}


class Counted(Media):
    """Bytes that count how often they are read."""

    reads = 0

    def read(self) -> bytes:
        """The bytes."""
        Counted.reads += 1
        return super().read()


def test_texts_are_read_once_for_items_and_documents() -> None:
    Counted.reads = 0
    items = tuple(Item("text", name=f"{k}.txt", media=Counted(data=b"words here")) for k in range(3))
    sample = Sample(id="s", key="s", items=items)
    found = Program([registry().bind("text_length"), over("text_word_count")])([sample])
    assert (found.columns["text_length"], found.columns["document_word_count"]) == ([[10] * 3], [6])
    assert Counted.reads == 3


def test_the_two_scopes_never_share_a_cell() -> None:
    whole, item = over("text_word_count"), registry().bind("text_word_count")
    assert whole.fingerprint != item.fingerprint
    assert whole.asked != item.asked
    assert (whole.level, whole.modality, item.level, item.modality) == ("sample", None, "item", "text")
    arrived = pickle.loads(pickle.dumps(whole))  # noqa: S301 - what was just pickled here
    assert arrived.fingerprint == whole.fingerprint
    assert {i.over for i in arrived.closure()} == {"document"}
    with_settings = over("text_word_repetition", n=3)
    assert with_settings.settings["n"] == 3
    assert with_settings.fingerprint != over("text_word_repetition").fingerprint


@pytest.mark.parametrize(
    ("name", "settings", "message", "fix"),
    [
        ("text_word_count", {"over": "document"}, "needs a name", "as: document_word_count"),
        (
            "image_sharpness",
            {"over": "document", "alias": "x"},
            "sees one image at a time",
            "leave `over` out",
        ),
        ("text_fix_unicode", {"over": "document", "alias": "x"}, "is a mapper", "leave `over` out"),
        ("text_word_count", {"over": "page", "alias": "x"}, "no `over: page`", "one of: document"),
    ],
)
def test_what_has_no_meaning_is_refused(name: str, settings: dict[str, str], message: str, fix: str) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        registry().bind(name, **settings)  # type: ignore[arg-type]
    assert fix in caught.value.fix


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_where_texts_are_cut_does_not_matter(texts: list[str]) -> None:
    whole = over("text_content_hash")
    found = Program([whole])([document(*texts), document("\n\n".join(texts))])
    assert len(set(found.columns["document_content_hash"])) == 1


Bound = Callable[[Spec], Instance]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Bound:
    """Binds a measure of texts over documents, small models in the place of large ones."""
    folder = tmp_path_factory.mktemp("models")

    def raised(instance: Instance) -> Instance:
        bindings = {name: raised(each) for name, each in instance.bindings.items()}
        return replace(instance, bindings=bindings, over="document")

    return cache(
        lambda spec: replace(raised(stand_ins.bind(spec.name, folder)), alias=f"document_{spec.name}")
    )


@pytest.mark.parametrize("spec", MEASURES, ids=lambda spec: spec.name)
def test_every_measure_of_texts_conforms_over_documents(spec: Spec, whole: Bound) -> None:
    prose = "The quick brown fox jumps over the lazy dog, twice in 12 days. "
    samples = [document(prose, None, prose + key, key=key) for key in ("one", "two", "three")]
    assert check(whole(spec), samples) == []


def test_measures_over_documents_and_over_texts_do_not_change_each_other(whole: Bound) -> None:
    prose = "The quick brown fox jumps over the lazy dog, twice in 12 days. "
    samples = [document(prose, None, prose + key, key=key) for key in ("one", "two", "three")]
    company = [registry().bind("text_word_count"), over("text_line"), *(whole(spec) for spec in MEASURES)]
    assert check_together(company, samples) == []


def test_a_spawned_process_gives_the_same_values_over_documents(whole: Bound) -> None:
    prose = [document("Some words here.", None, "And there.", key=key) for key in "ab"]
    assert check_spawned([whole(spec) for spec in MEASURES], prose) == []
