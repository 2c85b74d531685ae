"""Builds the samples that documents are: their metadata first, then texts and media named by their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from sluice.sample import Item, Media, Modality, Note, Sample
from sluice.sample.members import extension_for

MOST_ITEMS = 100_000
"""Items that one document may have: a hostile list must not become as many objects (the longest pages of Common
Crawl have some ten thousand pictures)."""

Trouble = tuple[str, str]
"""Reason and detail."""

NOTHING: Mapping[str, Any] = {}


class DocumentBuilder:
    """One document in the making, item by item in their order.

    The k-th item that is not metadata is called `k.ext`: by those names a document is told from a captioned
    picture (`sluice.sample.document`).
    """

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._notes: list[Note] = []
        self._place = 0

    def metadata(self, content_type: str = "application/json", text: str | None = None) -> None:
        """The document's own metadata; without a text it stands for the sample's fields."""
        taken = sum(item.modality == "metadata" for item in self.items)
        name = f"{taken}.json" if taken else "json"
        self.items.append(Item("metadata", content_type, name, text))

    def text(
        self, text: str, fields: Mapping[str, Any] = NOTHING, content_type: str = "text/plain", name: str = ""
    ) -> None:
        """The next item is a text."""
        self._add("text", content_type, name or "txt", text, None, fields)

    def medium(
        self,
        modality: str,
        content_type: str,
        media: Media | None,
        fields: Mapping[str, Any] = NOTHING,
        *,
        extension: str = "",
        text: str | None = None,
        trouble: Trouble | None = None,
    ) -> None:
        """The next item is a medium, or something else that bytes hold; `trouble` is why it has none."""
        if trouble is not None:
            self._notes.append(Note("unreadable", *trouble, "read", len(self.items)))
        known = extension or extension_for(content_type) or "bin"
        self._add(modality, content_type, known, text, media, fields)

    def _add(
        self,
        modality: str,
        content_type: str,
        extension: str,
        text: str | None,
        media: Media | None,
        fields: Mapping[str, Any],
    ) -> None:
        name = f"{self._place}.{extension}"
        self.items.append(Item(cast(Modality, modality), content_type, name, text, media, None, fields))
        self._place += 1

    def sample(self, id: str, key: str, fields: Mapping[str, Any]) -> Sample:
        """The document."""
        return Sample(id, key, tuple(self.items), fields, notes=tuple(self._notes))
