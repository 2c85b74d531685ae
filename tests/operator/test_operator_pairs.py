"""Pairs of images and texts: which there are, what operators on them see, and what becomes of several."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import Declined, UnreadableError
from sluice.operator import Field, Instance, Program, Registry, feature, measure
from sluice.operator.pairing import nearest_text
from sluice.plan.columns import columns_of
from sluice.sample import Item, Media, Note, Sample


@feature(scope="image", version=1, cost="decode")
def number(encoded: bytes) -> int:
    """The number that a made-up picture holds."""
    if encoded == b"broken":
        raise UnreadableError("truncated", "half a picture")
    return int(encoded)


@feature(scope="text", version=1, cost="header", batched=True)
def number_said(text: list[str]) -> list[int]:
    """The number that a text names."""
    return [int(t) for t in text]


@measure(version=1, cost="decode")
def image_text_distance(
    image_number: int, text_number_said: int, *, limit: int = 1000
) -> Annotated[int, Field(unit="steps", ge=0)]:
    """How far apart the two numbers are; declines beyond `limit`."""
    if abs(image_number - text_number_said) > limit:
        raise Declined("too far")
    return abs(image_number - text_number_said)


KNOWN = Registry([number.spec, number_said.spec, image_text_distance.spec])  # type: ignore[attr-defined]


def _sample(*members: str | int | bytes) -> Sample:
    """Text items of strings, images of numbers (or of bytes as they are), in this order."""
    items = tuple(
        Item("text", text=m)
        if isinstance(m, str)
        else Item("image", media=Media(data=m if isinstance(m, bytes) else str(m).encode()))
        for m in members
    )
    return Sample(id=repr(members), key=repr(members), items=items)


def _bound(**settings: object) -> Instance:
    return KNOWN.bind("image_text_distance", settings)


def _values(*samples: Sample, **settings: object) -> list[list[int | None]]:
    return Program([_bound(**settings)])(samples).columns["image_text_distance"]


def test_a_captioned_picture_is_one_pair() -> None:
    assert _values(_sample(3, "5"), _sample("9", 2)) == [[2], [7]]


def test_a_picture_goes_with_the_text_nearest_to_it_and_of_two_with_the_earlier() -> None:
    assert _values(_sample("10", 1, "20", 2, 3, "30")) == [[9, 18, 27]]


def test_any_takes_the_best_of_all_texts_and_all_the_worst() -> None:
    document = _sample("10", 1, "20", 25)
    assert _values(document, pair="any") == [[19, 15]]
    assert _values(document, pair="all") == [[9, 5]]


def test_operators_with_different_pairings_run_in_one_pass() -> None:
    instances = [
        KNOWN.bind("image_text_distance", {"pair": pair}, alias=f"by_{pair}")
        for pair in ("nearest", "any", "all")
    ]
    columns = Program(instances)([_sample("10", 1, "20", 25), _sample(4, "4")]).columns
    assert columns == {"by_nearest": [[9, 5], [0]], "by_any": [[19, 15], [0]], "by_all": [[9, 5], [0]]}


def test_a_picture_without_any_text_is_declined_and_a_text_without_pictures_has_no_value() -> None:
    measured = Program([_bound()])([_sample(3, 4), _sample("5"), _sample()])
    assert measured.columns["image_text_distance"] == [[None, None], [], []]
    notes = [Note("declined", "no text", "", "image_text_distance", index) for index in (0, 1)]
    assert measured.notes == [notes, [], []]


def test_trouble_of_either_side_is_told_once_and_of_its_own_item() -> None:
    measured = Program([_bound()])([_sample(b"broken", "5"), _sample(7, "seven"), _sample(1, "1")])
    assert measured.columns["image_text_distance"] == [[None], [None], [0]]
    (picture,), (text,), none = measured.notes
    assert (picture.kind, picture.reason, picture.operator, picture.item) == (
        "unreadable",
        "truncated",
        "number",
        0,
    )
    assert (text.kind, text.operator, text.item) == ("error", "number_said", 1)
    assert none == []


def test_what_one_pair_declines_another_may_answer() -> None:
    document = _sample("10", 1, "300")
    assert _values(document, limit=20, pair="any") == [[9]]
    assert _values(document, limit=5, pair="any") == [[None]]


def test_the_pairing_belongs_to_the_fingerprint_and_the_value_to_the_image() -> None:
    assert _bound().fingerprint != _bound(pair="any").fingerprint
    (column,) = columns_of([_bound()])
    assert column.modality == "image"
    assert column.arrow.value_type == "int64"


def test_settings_travel_to_the_features_of_both_sides() -> None:
    used = {i.spec.scope: i.spec.name for i in _bound().closure()}
    assert used == {"image": "number", "text": "number_said", "pair": "image_text_distance"}


@given(st.lists(st.booleans(), min_size=1, max_size=12).filter(any), st.data())
def test_the_nearest_text_is_nearest(is_text: list[bool], data: st.DataObject) -> None:
    texts = [k for k, here in enumerate(is_text) if here]
    image = data.draw(st.integers(0, len(is_text)))
    found = texts[nearest_text(image, texts)]
    distances = np.abs(np.array(texts) - image)
    assert abs(found - image) == distances.min()
    assert found == texts[int(np.argmin(distances))]


@given(
    st.lists(
        st.lists(st.one_of(st.integers(0, 99), st.integers(0, 99).map(str)), max_size=6),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["nearest", "any", "all"]),
)
def test_a_sample_has_one_value_an_image_whatever_its_company(
    members: list[list[int | str]], pair: str
) -> None:
    samples = [_sample(*each) for each in members]
    together = _values(*samples, pair=pair)
    assert together == [_values(sample, pair=pair)[0] for sample in samples]
    assert [len(values) for values in together] == [len(s.of("image")) for s in samples]


def test_the_setting_is_offered_and_checked() -> None:
    assert "pair" in _bound().settings
    with pytest.raises(Exception, match="pair"):
        _bound(pair="some")
