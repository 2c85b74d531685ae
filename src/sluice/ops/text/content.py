"""The text itself: for operators on pairs, which take a feature of each half, and for those on whole samples."""

from __future__ import annotations

from typing import Annotated

from sluice.errors import UnreadableError
from sluice.operator import feature
from sluice.sample import Item

Content = Annotated[str, "the text"]


@feature(scope="text", version=1, cost="header")
def content(text: str) -> Content:
    """The text as it is."""
    return text


def text_of(item: Item) -> str:
    """The text of an item, read where it is not in hand.

    Raises UnreadableError where there are no bytes or they are not UTF-8, StorageError where they are gone.
    """
    if item.text is not None:
        return item.text
    if item.media is None:
        raise UnreadableError("no bytes", "the item has no media")
    try:
        return item.media.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError("not UTF-8", str(error)) from error
