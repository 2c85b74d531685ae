"""Words, special characters and the metadata number, by hand and by their laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import Declined
from sluice.ops.sample.metadata_number import sample_metadata_number
from sluice.ops.text.characters import is_special
from sluice.ops.text.length import text_length
from sluice.ops.text.word_count import text_word_count
from sluice.ops.text.words import lowercase_words, stripped, words
from sluice.sample import Item, Media, Sample


def test_by_hand() -> None:
    assert text_length("") == 0
    assert text_length("naïve 😸") == 7
    assert words(" \n\t ") == []
    assert words("- - -") == []
    assert words("«Hello», it's (really) 42 fine!") == ["Hello", "it's", "really", "fine"]
    assert words("👩‍🚀Anna ❤️ 1️⃣ x") == ["Anna", "x"]
    assert text_word_count(["a", "b"]) == 2


def test_special_characters() -> None:
    assert all(map(is_special, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~0123456789 \n\t，。…►😸€©"))
    assert not any(map(is_special, "aZéß中１٣ﾊ"))


@given(st.text())
def test_words_are_bare_and_in_the_text(text: str) -> None:
    for word in words(text):
        assert word in text
        assert not is_special(word[0])
        assert not is_special(word[-1])


@given(st.text(alphabet=st.sampled_from("aZß一 \t\n\r'-.!“”…•\u00a0😀1²\u0301")))
def test_words_are_those_of_the_definition(text: str) -> None:
    pieces = text.replace("\n", " ").replace("\t", " ").split(" ")
    assert words(text) == [word for word in map(stripped, pieces) if word]
    assert lowercase_words(words(text)) == [word.lower() for word in words(text)]


def _with(*metadata: Item, **fields: object) -> Sample:
    return Sample(id="0", key="0", items=metadata, fields=fields)


def test_metadata_numbers() -> None:
    inline = Item(
        "metadata", name="json", text='{"width": 640, "licence": {"year": 2020.5}, "ok": true, "t": "12"}'
    )
    viewed = Item("metadata", name="json", media=Media(data=b'\xef\xbb\xbf{"score": -3}'))
    sample = _with(inline, viewed, aesthetic=0.5, width=1)
    assert sample_metadata_number(sample) == 640
    assert sample_metadata_number(sample, field="licence.year") == 2020.5
    assert sample_metadata_number(sample, field="score") == -3
    assert sample_metadata_number(sample, field="aesthetic") == 0.5
    for field, reason in [("ok", "not a number"), ("t", "not a number"), ("licence.month", "no such field")]:
        with pytest.raises(Declined) as caught:
            sample_metadata_number(sample, field=field)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    "text", ["{", "[" * 100_000, '{"width": 1' + "0" * 400 + "}", "\udc80", '{"width": [1]}', "7"]
)
def test_hostile_metadata_is_declined(text: str) -> None:
    with pytest.raises(Declined):
        sample_metadata_number(_with(Item("metadata", text=text)))
