"""What the samples are like: each measure's distribution as a box, on an axis of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluice.sandbox.report import marks
from sluice.sandbox.report.found import Found
from sluice.view import number
from sluice.view.html import Html, element, isolated, join
from sluice.view.scale import Scale


def section(found: Found) -> Html | None:
    """A row for each measure that was analysed; None where none was."""
    if not found.analysis:
        return None
    rows = [_row(row) for row in found.analysis]
    head = ["measure", "values", "missing", "median", "1 % to 99 %", "", "far out"]
    told = "Box: half of the samples, with their median; line: 1 % to 99 %. Far out: beyond three box widths."
    return join(marks.table(head, rows, right=(1, 2, 3, 6), cls="boxes"), marks.note(told))


def _row(row: Mapping[str, Any]) -> tuple[object, ...]:
    have = row["q50"] is not None
    far = "–" if row.get("low_fence") is None else number.count((row["below"] or 0) + (row["above"] or 0))
    return (
        isolated(row["measure"]),
        number.count(row["values"]),
        number.count(row["nulls"]) if row["nulls"] else "",
        number.exact(row["q50"]) if have else "–",
        f"{number.exact(row['q01'])} to {number.exact(row['q99'])}" if have else row.get("note") or "–",
        _box(row) if have and row["q01"] < row["q99"] else row.get("note") or "",
        far,
    )


def _box(row: Mapping[str, Any]) -> Html:
    scale = Scale(row["q01"], row["q99"])
    left, lower, middle, upper, right = (scale.position(row[q]) for q in ("q01", "q25", "q50", "q75", "q99"))
    return element(
        "svg",
        element("line", cls="whisker", x1=f"{left:.2f}%", x2=f"{right:.2f}%", y1=9, y2=9),
        element("rect", x=f"{lower:.2f}%", y=2, width=f"{max(0.5, upper - lower):.2f}%", height=14),
        element("line", cls="median", x1=f"{middle:.2f}%", x2=f"{middle:.2f}%", y1=2, y2=16),
        cls="box",
        height=18,
        aria_hidden="true",
    )
