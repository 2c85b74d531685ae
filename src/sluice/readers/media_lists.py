"""The media that an object lists by modality, each to stand where its marker does."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from sluice.errors import ReadError
from sluice.readers.documents import MOST_ITEMS
from sluice.readers.named_media import address_of


class MediaLists:
    """What stands under `keys` (key → modality), in order; one alone is a list of one, null is none.

    `names` are the keys that are there, `counts` how many media of each modality they list.
    """

    def __init__(self, value: Mapping[str, Any], keys: Mapping[str, str]) -> None:
        self.names = [name for name in keys if value.get(name) is not None]
        self._waiting: dict[str, deque[tuple[str, Any]]] = {}
        for name in self.names:
            given = value[name] if isinstance(value[name], list) else [value[name]]
            if len(given) > MOST_ITEMS:
                raise ReadError("too many items", f"`{name}` has {len(given):,}, more than {MOST_ITEMS:,}")
            self._waiting.setdefault(keys[name], deque()).extend((name, each) for each in given)
        self.counts = Counter({modality: len(waiting) for modality, waiting in self._waiting.items()})

    def settle(self, marks: Counter[str]) -> list[str]:
        """Hold the markers of each modality against its media: the modalities of media that have none.

        Those stand first, once a medium. `ReadError` for any other mismatch.
        """
        for modality in {**marks, **self.counts}:
            there, wanted = self.counts[modality], marks[modality]
            if wanted > there:
                raise ReadError("markers without media", f"{wanted} of {modality}, {there} given")
            if 0 < wanted < there:
                raise ReadError("media without markers", f"{there} of {modality}, {wanted} markers")
        return [m for m, there in self.counts.items() if not marks[m] for _ in range(there)]

    def next(self, modality: str) -> tuple[str, dict[str, Any]]:
        """The address of the next medium of a modality, and what else its entry says."""
        name, value = self._waiting[modality].popleft()
        return address_of(value, name)
