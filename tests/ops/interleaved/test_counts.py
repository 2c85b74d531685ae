"""What documents hold: images, texts, words, and images for each word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.operator import Program, registry
from sluice.sample import Item, Media, Sample

NAMES = ["sample_image_count", "sample_text_count", "sample_word_count", "sample_image_to_word_ratio"]


def sample(*parts: str | bytes | None) -> Sample:
    """Texts in hand, texts as bytes, and images (None), behind the document's metadata."""
    items = [
        Item("image", media=Media(data=b"not even a picture"))
        if part is None
        else Item("text", text=part)
        if isinstance(part, str)
        else Item("text", media=Media(data=part))
        for part in parts
    ]
    return Sample(id="s", key="s", items=(Item("metadata"), *items, Item("other")))


def measured(of: Sample) -> list[float]:
    found = Program([registry().bind(name) for name in NAMES])([of])
    return [found.columns[name][0] for name in NAMES]


@pytest.mark.parametrize(
    ("parts", "values"),
    [
        (("One two three four.", None), [1, 1, 4, 0.25]),
        (("Two words", None, "and three more", None), [2, 2, 5, 0.4]),
        ((None, None, None), [3, 0, 0, 3.0]),
        (("", None, " \n"), [1, 2, 0, 1.0]),
        (("no picture",), [0, 1, 2, 0.0]),
        ((), [0, 0, 0, 0.0]),
        ((b"as bytes", b"\xff\xfe\xfa", None), [1, 2, 2, 0.5]),
        (("--- 12 ...", None), [1, 1, 0, 1.0]),
    ],
)
def test_golden_values(parts: tuple[str | bytes | None, ...], values: list[float]) -> None:
    assert measured(sample(*parts)) == values


@given(st.lists(st.one_of(st.none(), st.text(max_size=30)), max_size=8))
def test_counts_add_up(parts: list[str | None]) -> None:
    images, texts, words, ratio = measured(sample(*parts))
    assert images + texts == len(parts)
    assert ratio == images / max(words, 1)
    whole = registry().bind("text_word_count", alias="document_word_count", over="document")
    (over,) = Program([whole])([sample(*parts)]).columns["document_word_count"]
    assert (over or 0) == words


def test_images_are_counted_without_reading_them() -> None:
    for name in NAMES:
        spec = registry().get(name)
        assert registry().cost(spec) == "header"
        assert spec.modality is None
