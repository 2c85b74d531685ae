"""A document is told from a captioned picture by the names of its items."""

from __future__ import annotations

import pytest

from sluice.sample.document import is_document

T, I, M = "text", "image", "metadata"


@pytest.mark.parametrize(
    ("modalities", "names", "document"),
    [
        ([M, T, I], ["json", "0.txt", "1.jpg"], True),
        ([T, I, "other"], ["0.txt", "1.jpg", "2.bin"], True),
        ([I], ["0.jpg"], True),
        ([T, M, T], ["0", "json", "1"], True),
        ([I, T], ["jpg", "txt"], False),
        ([I, T, T], ["jpg", "0.txt", "1.txt"], False),
        ([T, I], ["1.txt", "2.jpg"], False),
        ([T, I], ["0.txt", "01.jpg"], False),
        ([M], ["json"], False),
        ([], [], False),
    ],
)
def test_items_named_by_their_place_are_a_document(
    modalities: list[str], names: list[str], document: bool
) -> None:
    assert is_document(modalities, names) is document
