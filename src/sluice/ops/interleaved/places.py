"""The items of a document that have a place in it, and how they are named by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from sluice.sample import MEDIA_MODALITIES, Item
from sluice.sample.members import default_name

_BY_PLACE = re.compile(r"\d+\.")


def is_placed(item: Item) -> bool:
    """Whether an item has a place in its document: texts, media, and others that are named by one (`3.npy`).

    Metadata and sidecars have none; they belong to the document as a whole.
    """
    if item.modality == "other":
        return _BY_PLACE.match(item.name) is not None
    return item.modality == "text" or item.modality in MEDIA_MODALITIES


def extension(item: Item) -> str:
    """The extension of an item's name, or the usual one of its type."""
    return default_name(item).rpartition(".")[2]


def placed(items: Iterable[Item]) -> Iterator[Item]:
    """The items named by their places among each other, from 0: `0.txt`, `1.jpg`, …"""
    for k, item in enumerate(items):
        name = f"{k}.{extension(item)}"
        yield item if item.name == name else replace(item, name=name)
