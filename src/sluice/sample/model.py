"""The sample model: an id and an ordered list of items, for every modality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import xxhash

from sluice.sample.media import Media

Modality = Literal["text", "image", "video", "audio", "metadata", "other"]
MEDIA_MODALITIES: frozenset[str] = frozenset({"image", "video", "audio"})
"""Modalities whose items are decoded from bytes."""


@dataclass(frozen=True, slots=True)
class Note:
    """Why a value is null or a sample failed.

    `kind` is `read` (the sample could not be read from its source), `unreadable` (an item's bytes cannot be
    decoded), `declined` (the operator has nothing to say), `error` (the operator raised) or `crash` (it hung,
    ran out of memory, or took its process down). `item` is the index in `Sample.items`, −1 for the sample as
    a whole. `reason` is the short phrase failures are counted by; `detail` is for people.
    """

    kind: Literal["read", "unreadable", "declined", "error", "crash"]
    reason: str
    detail: str = ""
    operator: str = ""
    item: int = -1


@dataclass(frozen=True, slots=True)
class Item:
    """One member of a sample.

    `name` is the member's name (`jpg`, `left.png`, a column); `text` holds text in hand, `media` a view of
    bytes (a text sidecar may have both: its exact bytes travel through the view). `hash` is the xxh3-128 of the
    encoded bytes in hexadecimal, known once they were read whole.
    """

    modality: Modality
    content_type: str = ""
    name: str = ""
    text: str | None = None
    media: Media | None = None
    hash: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """An id and an ordered list of items: [image, text], [video, text, …], [text, image, text, …].

    `key` is the name it has in its source and will have in the output; `parent` the id of the sample that a
    splitter made it from; `fields` the source columns that pass through; `notes` what already went wrong
    while reading.
    """

    id: str
    key: str
    items: tuple[Item, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    parent: str | None = None
    notes: tuple[Note, ...] = ()

    def of(self, modality: str) -> list[tuple[int, Item]]:
        """The items of one modality with their index among all items, in order."""
        return [(i, item) for i, item in enumerate(self.items) if item.modality == modality]

    def rooted(self, root: str) -> Sample:
        """The sample with views relative to a source root, as the store keeps them, made absolute."""
        items = tuple(
            item
            if item.media is None or not item.media.uri
            else replace(item, media=replace(item.media, uri=root + item.media.uri))
            for item in self.items
        )
        return replace(self, items=items)

    @property
    def size_bytes(self) -> int:
        """Bytes of all members as they will be written, as far as they are known."""
        return sum(_item_bytes(item) for item in self.items)


def _item_bytes(item: Item) -> int:
    if item.media is not None:
        if item.media.size is not None:
            return item.media.size
        if item.media.data is not None:
            return len(item.media.data)
    if item.text is None:
        return 0
    return len(item.text) if item.text.isascii() else len(item.text.encode())


def sample_id(path: str, key: str, row: int = 0) -> str:
    """The identity of a source sample: xxh3-128 over its path relative to the source root, key and row.

    32 hexadecimal digits; the parts are separated by NUL, which none of them can contain.
    """
    return xxhash.xxh3_128_hexdigest(f"{path}\0{key}\0{row}".encode("utf-8", "surrogateescape"))
