"""What became of the samples that a splitter took apart: remembered by unit, and listed beside a run's selection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.sample import Note
from sluice.storage import Location
from sluice.store.fates import PARENT_FATES
from sluice.store.fragments import Fragment, Fragments

MARK = "parents-1"
"""The address of a unit's parents: the unit's key already stands for the splitter and the mappers before it."""

SCHEMA = pa.schema(
    [
        ("ordinal", pa.int64()),
        ("unit", pa.int32()),
        ("id", pa.string()),
        ("key", pa.string()),
        ("fate", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("children", pa.int32()),
        ("first_child", pa.int64()),
    ]
)
"""Columns of `parents.parquet`; `first_child` is an ordinal of the selection, where a parent's children follow
one another."""


@dataclass
class Parents:
    """The parents of one unit in their order: id, key, number of children, and why there are none."""

    ids: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    children: list[int] = field(default_factory=list)
    notes: list[tuple[Note, ...]] = field(default_factory=list)

    def add(self, id: str, key: str, children: int, note: Note | None) -> None:
        """Take in the next parent."""
        self.ids.append(id)
        self.keys.append(key)
        self.children.append(children)
        self.notes.append(() if note is None else (note,))

    def write(self, fragments: Fragments, unit: str) -> None:
        """Commit them. Whatever else was known of the unit counted other rows, and goes first."""
        fragments.forget(unit)
        base = pa.table(
            {
                "id": pa.array(self.ids, pa.string()),
                "key": pa.array(self.keys, pa.string()),
                "children": pa.array(self.children, pa.int32()),
            }
        )
        rows = range(len(self.ids))
        fragments.write(
            unit, of_rows=len(rows), rows=rows, columns=(), notes=self.notes, base=base, base_mark=MARK
        )


def find(fragments: Iterable[Fragment]) -> Fragment | None:
    """The fragment among a unit's that holds its parents."""
    return next((f for f in fragments if f"{MARK}:children" in f.marks), None)


def children_of(fragment: Fragment) -> tuple[int, ...]:
    """How many children each parent of the unit has, in order."""
    return tuple(fragment.read(["children"]).column(0).to_pylist())


def fate_of(children: int, notes: Sequence[Note] | Sequence[dict[str, Any]] | None) -> str:
    """One of `PARENT_FATES`: a parent without children is childless where the splitter declined, else failed."""
    if children:
        return "split"
    kinds = [n.kind if isinstance(n, Note) else n["kind"] for n in notes or ()]
    return "childless" if kinds == ["declined"] else "failed"


def write_parents(target: Location, units: Iterable[Fragment]) -> dict[str, Any]:
    """Write `parents.parquet` from all units' parents, in their order.

    Returns the level's equation, `read` = `split` + `childless` + `failed`, and `reasons`, how many for which,
    by fate. One unit is in memory at a time.
    """
    counts: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {"childless": Counter(), "failed": Counter()}
    ordinal = first = 0
    with target.writer() as sink, pq.ParquetWriter(sink, SCHEMA, compression="zstd") as writer:
        for number, fragment in enumerate(units):
            rows = _rows_of(fragment, number, ordinal, first)
            for row in rows:
                counts[row["fate"]] += 1
                if row["reason"] is not None:
                    reasons[row["fate"]][row["reason"]] += 1
            ordinal, first = ordinal + len(rows), first + sum(row["children"] for row in rows)
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
    told = {fate: dict(sorted(of.items(), key=lambda r: (-r[1], r[0]))) for fate, of in reasons.items()}
    return {
        "name": "parents",
        "read": ordinal,
        **{fate: counts[fate] for fate in PARENT_FATES},
        "children": first,
        "reasons": told,
    }


def _rows_of(fragment: Fragment, unit: int, ordinal: int, first: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for row in fragment.read(["id", "key", "children", "notes"]).to_pylist():
        notes = row.pop("notes") or ()
        reason, detail = (notes[0]["reason"], notes[0]["detail"]) if notes else (None, None)
        found.append(
            {
                **row,
                "ordinal": ordinal + len(found),
                "unit": unit,
                "fate": fate_of(row["children"], notes),
                "reason": reason,
                "detail": detail or None,
                "first_child": first if row["children"] else None,
            }
        )
        first += row["children"]
    return found
