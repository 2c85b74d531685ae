"""A document is told from a captioned picture by the names of its items."""

from __future__ import annotations

import pytest

from sluice.sample.document import is_document

T, P, M = "text", "image", "metadata"


@pytest.mark.parametrize(
    ("modalities", "names", "document"),
    [
        ([M, T, P], ["json", "0.txt", "1.jpg"], True),
        ([T, P, "other"], ["0.txt", "1.jpg", "2.bin"], True),
        ([P], ["0.jpg"], True),
        ([T, M, T], ["0", "json", "1"], True),
        ([P, T], ["jpg", "txt"], False),
        ([P, T, T], ["jpg", "0.txt", "1.txt"], False),
        ([T, P], ["1.txt", "2.jpg"], False),
        ([T, P], ["0.txt", "01.jpg"], False),
        ([M], ["json"], False),
        ([], [], False),
    ],
)
def test_items_named_by_their_place_are_a_document(
    modalities: list[str], names: list[str], document: bool
) -> None:
    assert is_document(modalities, names) is document


def test_items_without_a_name_are_no_document_s() -> None:
    assert not is_document(["image", "text"], [None, None])
