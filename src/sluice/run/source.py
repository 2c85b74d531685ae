"""How workers read the source: its samples as mappers change them, or the children that a splitter makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sluice.operator import Instance, tracks
from sluice.plan import Unit
from sluice.readers import Reader, open_reader
from sluice.readers.derived import derived, leaving
from sluice.run.engine import Beat, Quarantine
from sluice.run.parents import PARENT_ROWS, Following, followed, with_children
from sluice.storage import Location, downloads
from sluice.store import Fragments


@dataclass(frozen=True)
class SourceRef:
    """How a worker anywhere opens the source again; `root` is the prefix its views share,
    `columns` and `settings` are those of its reader.

    `mappers` change its samples as they are read; a splitter among them takes them apart. What mappers download is
    kept in the `store`, "" for nowhere, and so are the `tracks` of videos, all of which one decode measures.
    """

    url: str
    format: str
    root: str
    columns: Mapping[str, str] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    mappers: tuple[Instance, ...] = ()
    store: str = ""
    tracks: tuple[Instance, ...] = ()

    @property
    def splitter(self) -> str | None:
        """The name of the splitter, where rows are the children that it makes."""
        return next((each.spec.name for each in self.mappers if each.spec.kind == "splitter"), None)

    def open(self) -> Reader:
        """The reader of the source, with its mappers."""
        store = Location(self.store) if self.store else None
        downloads.use(store)
        tracks.use(store, self.tracks)
        columns = dict(self.columns) if self.columns else None
        reader = open_reader(self.url, format=self.format, columns=columns, settings=self.settings)
        return derived(reader, self.mappers)


class UnitReader:
    """Reads units for a worker: around what killed others, and by rows where a splitter makes them.

    `stale` says that what the store holds of parents is about to be found out anew (`--retry-failed`).
    """

    def __init__(self, source: SourceRef, fragments: Fragments, *, stale: bool = False) -> None:
        self._source, self._fragments, self._stale = source, fragments, stale
        self._reader = source.open()

    def reading(
        self, unit: Unit, beat: Beat, quarantined: Mapping[int, Quarantine]
    ) -> tuple[Reader, Unit, Following | None]:
        """The reader and the unit to read with it; who follows the splitter, where there is one."""
        reader = leaving(self._reader, quarantined)  # what killed a worker may have done so in a mapper
        if self._source.splitter is None:
            return reader, unit, None
        return followed(reader, unit, beat, quarantined, self._source.splitter)

    def splits_anew(self, unit: Unit) -> bool:
        """Whether the unit's parents are yet to be counted: what the store holds of it then counts other rows."""
        return self._source.splitter is not None and unit.slice.children is None

    def counted(self, unit: Unit, beat: Beat, quarantined: Mapping[int, Quarantine]) -> Unit:
        """The unit with its parents counted and committed first, where one of them kills workers.

        A search for another culprit (`rows`, `probing`) then leaves that parent alone.
        """
        if not self.splits_anew(unit) or not any(row >= PARENT_ROWS for row in quarantined):
            return unit
        reader, whole, following = self.reading(unit, beat, quarantined)
        assert following is not None
        for _ in reader.read(whole.slice):
            pass
        following.parents.write(self._fragments, unit.key)
        return with_children(unit, self._fragments.stored(unit.key))

    def probing(self, unit: Unit, beat: Beat) -> tuple[Reader, Unit]:
        """The reader and the unit to read some rows with, outside a regular call."""
        if self.splits_anew(unit) and not self._stale:
            unit = with_children(unit, self._fragments.stored(unit.key))
        reader, unit, _ = self.reading(unit, beat, {})
        return reader, unit

    def rows(self, unit: Unit) -> int:
        """How many rows a unit has: as listed or counted before, else by reading, without bytes where it can be."""
        if self._source.splitter is None:
            if unit.slice.samples is not None:
                return unit.slice.samples
            return sum(1 for _ in replace(self._source, mappers=()).open().read(unit.slice))
        reader, unit = self.probing(unit, [0, 0, 0])
        if unit.slice.children is not None:
            return sum(unit.slice.children)
        return sum(1 for _ in reader.read(unit.slice))
