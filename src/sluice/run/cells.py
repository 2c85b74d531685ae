"""Gathers the values of a unit's samples over its micro-batches, in the order of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sluice.operator import Measured
from sluice.plan.columns import Column
from sluice.run.batches import hashes_of
from sluice.run.engine import Quarantine
from sluice.sample import Note, Sample


@dataclass
class Cells:
    """Values gathered over a unit's micro-batches for one fragment."""

    columns: tuple[Column, ...]
    rows: list[int] = field(default_factory=list)
    values: dict[str, list[Any]] = field(default_factory=dict)
    notes: list[list[Note]] = field(default_factory=list)
    hashes: list[list[str | None]] = field(default_factory=list)

    def add(self, rows: Sequence[int], samples: Sequence[Sample], measured: Measured) -> None:
        """Take in a micro-batch."""
        self.rows.extend(rows)
        self.notes.extend([*s.notes, *found] for s, found in zip(samples, measured.notes, strict=True))
        for name in (c.name for c in self.columns):
            self.values.setdefault(name, []).extend(measured.columns[name])
        for sample, known in zip(samples, measured.hashes, strict=True):
            # Only a pass that reads bytes hashes sidecars too: header-only passes touch no contents.
            self.hashes.append(hashes_of(sample, known) if known else [None] * len(sample.items))

    def add_failed(self, row: int, sample: Sample, notes: list[Note]) -> None:
        """Take in a sample that could not be measured, with the reasons."""
        self.rows.append(row)
        self.notes.append(notes)
        for column in self.columns:
            self.values.setdefault(column.name, []).append(None)
        self.hashes.append([None] * len(sample.items))


def add_in_order(
    cells: Cells,
    rows: list[int],
    samples: list[Sample],
    good: list[int],
    measured: Measured,
    quarantined: Mapping[int, Quarantine],
) -> None:
    """Add a micro-batch's rows in their order, those that could not be measured with their reason."""
    if len(good) == len(rows):
        cells.add(rows, samples, measured)
        return
    at = {k: i for i, k in enumerate(good)}
    for k, (row, sample) in enumerate(zip(rows, samples, strict=True)):
        if k not in at:
            notes = list(sample.notes)
            if row in quarantined:
                q = quarantined[row]
                step = q.step or "reading"  # where no operator was under way
                notes.append(Note("crash", f"{step}: {q.reason}", q.detail, step))
            cells.add_failed(row, sample, notes)
            continue
        i = at[k]
        one = Measured(
            {name: values[i : i + 1] for name, values in measured.columns.items()},
            [measured.notes[i]],
            [measured.hashes[i]],
        )
        cells.add([row], [sample], one)
