"""What the store already knows of a plan's units, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xxhash

from sluice.errors import RunError, StorageError
from sluice.plan import MeasurePass, Unit
from sluice.plan.columns import Column, columns_of
from sluice.readers import Reader
from sluice.run.measure import MeasureTask
from sluice.run.parents import with_children
from sluice.storage import Location
from sluice.store import Fragment, Fragments, UnitCells, parents
from sluice.store.fragments import HASHES


def base_mark(reader: Reader) -> str:
    """The address of what a reader gives: its format and version."""
    return xxhash.xxh3_64_hexdigest(f"{reader.format}:{reader.version}:base-2".encode())


@dataclass(frozen=True)
class Known:
    """The store as seen by one run; `splits` says that the rows of units are children of a splitter."""

    fragments: Fragments
    base_mark: str
    retry_failed: bool = False
    splits: bool = False

    def of(self, unit: Unit) -> list[Fragment]:
        """The unit's fragments that need not be computed again: not those with crashes that are to be retried."""
        found = self.fragments.of(unit.key)
        return [f for f in found if not f.transient] if self.retry_failed else found

    def tasks(self, units: Sequence[Unit], measure_pass: MeasurePass) -> Iterator[MeasureTask]:
        """What of a pass over all samples has to be computed, unit by unit; units that lack nothing are left out."""
        columns = [tuple(columns_of([i])) for i in measure_pass.cheap]
        for unit in units:
            fragments = self.of(unit)
            whole = {mark for f in fragments if f.whole for mark in f.marks}
            missing = tuple(k for k, cs in enumerate(columns) if any(c.mark not in whole for c in cs))
            needs_base = f"{self.base_mark}:id" not in whole
            counted = with_children(unit, fragments) if self.splits else unit
            if self.splits and counted.slice.children is None:
                # What else is known of the unit counts other rows, or none.
                missing, needs_base = tuple(range(len(columns))), True
            if missing or needs_base or measure_pass.gated:
                yield MeasureTask(counted, missing, needs_base)

    def laid_out(self, unit: Unit) -> Unit:
        """The unit with what a splitter made of each of its samples, where that is known."""
        return with_children(unit, self.fragments.of(unit.key)) if self.splits else unit

    def cells(self, units: Sequence[Unit], columns: Sequence[Column]) -> list[UnitCells]:
        """For every unit the fragments that hold these columns."""
        return [self._cells(unit, columns) for unit in units]

    def _cells(self, unit: Unit, columns: Sequence[Column]) -> UnitCells:
        # Where something crashed and another try did not, the other counts.
        fragments = sorted(self.fragments.of(unit.key), key=lambda f: f.transient != "")
        base = next((f for f in fragments if f"{self.base_mark}:id" in f.marks), None)
        counted = parents.find(fragments)
        if base is None or (self.splits and counted is None):
            raise RunError(
                "the store lost what was measured of a unit while the run went on",
                where=", ".join(f.path for f in unit.slice.files[:3]),
                fix="run the same command again",
            )
        chosen: dict[str, Fragment] = {}
        for column in columns:
            holding = [f for f in fragments if column.mark in f.marks]
            # One fragment that covers all rows is enough; partial ones are joined.
            for fragment in [f for f in holding if f.whole][:1] or holding:
                chosen[fragment.location.name] = fragment
        return UnitCells(unit.key, base.rows, base, tuple(chosen[name] for name in sorted(chosen)), counted)


@dataclass(frozen=True)
class ContentCheck:
    """Compares the content hashes stored for a unit with the files as they are now."""

    fragments: Fragments
    root: str

    def __call__(self, unit: Unit, key: str) -> bool:
        """Whether every member of the stored unit still has the bytes whose hash was stored."""
        fragments = [f for f in self.fragments.of(key) if f.whole and not f.transient]
        items = next((f.read(["items"]) for f in fragments if "items" in f.marks.values()), None)
        hashes = next((f.read([HASHES]) for f in fragments if HASHES in f.marks.values()), None)
        if items is None or hashes is None:
            return False
        rows = zip(items.column(0).to_pylist(), hashes.column(0).to_pylist(), strict=True)
        return all(
            self._unchanged(item, known)
            for of_items, of_hashes in rows
            for item, known in zip(of_items, of_hashes, strict=True)
        )

    def _unchanged(self, item: Mapping[str, Any], known: str | None) -> bool:
        if known is None or item["uri"] is None:
            return False
        try:
            place = Location(self.root + item["uri"])
            offset, size = item["offset"], item["size"]
            data = place.read() if offset is None else place.read_range(offset, size)
        except StorageError:
            return False
        return xxhash.xxh3_128_hexdigest(data) == known
