"""Follows a splitter through one unit: so supervisor and store know what parent is under way, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from time import monotonic_ns

from sluice.operator import alive
from sluice.operator.splitting import Family
from sluice.plan import Unit
from sluice.readers import Reader
from sluice.readers.derived import attended
from sluice.run.engine import ROW, SINCE, STEP, Beat, Quarantine, rest
from sluice.sample import Note
from sluice.store import Fragment
from sluice.store.parents import Parents, children_of, fate_of, find

PARENT_ROWS = 1 << 40
"""Added to a parent's number, so that beat and quarantine tell parents from the rows that they are split into."""


class Following:
    """An attendant of one unit's splitter (see `SplitReader.attended`); `parents` are those that it saw."""

    def __init__(self, beat: Beat) -> None:
        self._beat = beat
        self.parents = Parents()
        self.failed = 0
        self.first_failure = ""
        """Key and reason of the first parent that failed, for messages."""

    def begins(self, number: int) -> None:
        """Tell the beat: this parent is to blame for what happens until its end."""
        self._beat[ROW], self._beat[STEP], self._beat[SINCE] = PARENT_ROWS + number, -1, monotonic_ns()
        alive.follow(self._beat)  # a long video is decoded while it is split

    def ended(self, number: int, family: Family) -> None:
        """Keep what became of a parent."""
        rest(self._beat)
        parent, note = family.parent, family.note
        self.parents.add(parent.id, parent.key, len(family.children), note)
        if fate_of(len(family.children), self.parents.notes[-1]) == "failed":
            self.failed += 1
            self.first_failure = self.first_failure or f"{parent.key} ({note.reason if note else ''})"


def quarantined_parents(quarantined: Mapping[int, Quarantine], splitter: str) -> dict[int, Note]:
    """The parents among quarantined rows, by their number, each with the note that says why it is not split."""
    return {
        row - PARENT_ROWS: Note("crash", f"{splitter}: {why.reason}", why.detail, splitter)
        for row, why in quarantined.items()
        if row >= PARENT_ROWS
    }


def with_children(unit: Unit, fragments: Iterable[Fragment]) -> Unit:
    """The unit with how many children each of its samples has, where one of its fragments tells."""
    counted = find(fragments)
    if counted is None:
        return unit
    return replace(unit, slice=replace(unit.slice, children=children_of(counted)))


def followed(
    reader: Reader, unit: Unit, beat: Beat, quarantined: Mapping[int, Quarantine], splitter: str
) -> tuple[Reader, Unit, Following]:
    """The reader with one who follows its splitter through the unit, and the unit as that is read: by rows."""
    following = Following(beat)
    alone = quarantined_parents(quarantined, splitter)
    # `limit` counts what the source holds, not what that is split into.
    return attended(reader, following, alone, unit.max_rows), replace(unit, max_rows=None), following
