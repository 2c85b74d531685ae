"""What the trainings took, and which of them gave nothing, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sluice.sandbox.report import marks
from sluice.sandbox.report.found import Found
from sluice.view import number
from sluice.view.html import Html, isolated, join

Row = Mapping[str, Any]


def section(found: Found) -> Html | None:
    """Time, GPU hours and money by arm; None where nothing was trained."""
    if not found.models:
        return None
    by_arm: dict[str, list[Row]] = {}
    for row in found.models:
        by_arm.setdefault(str(row["arm"]), []).append(row)
    head = ["arm", "runs", "failed", "samples seen", "time", "GPU hours", "cost"]
    rows = [_row(isolated(arm), some) for arm, some in by_arm.items()]
    rows.append(_row("together", found.models))
    return join(marks.table(head, rows, right=range(1, len(head)), cls="sums"), _reasons(found))


def _row(name: object, rows: Sequence[Row]) -> tuple[object, ...]:
    failed = sum(row.get("model") is None for row in rows)
    columns = ("seconds", "gpu_hours", "cost", "samples_seen")
    seconds, hours, cost, samples = (_sum(rows, column) for column in columns)
    return (
        name,
        len(rows),
        failed or "",
        "–" if samples is None else number.count(samples),
        "–" if seconds is None else number.duration(seconds),
        "–" if hours is None else number.exact(hours),
        "–" if cost is None else f"{cost:,.2f}",
    )


def _sum(rows: Sequence[Row], column: str) -> float | None:
    known = [row[column] for row in rows if row.get(column) is not None]
    return float(sum(known)) if known else None


def _reasons(found: Found) -> Html | None:
    """Every reason for a score that is missing, with how many runs and the first of them."""
    lost = {(s.arm, s.seed): s.reason for s in found.scores if s.value is None}
    lost |= {(r["arm"], r["seed"]): r["reason"] for r in found.models if r.get("model") is None}
    if not lost:
        return None
    counts = Counter(lost.values())
    rows = []
    for reason, count in counts.most_common():
        runs = [f"{arm}, seed {seed}" for (arm, seed), why in lost.items() if why == reason]
        more = f" and {len(runs) - 4} more" if len(runs) > 4 else ""
        rows.append((isolated(reason or "not told"), count, isolated("; ".join(runs[:4]) + more)))
    return marks.table(["runs without a result", "runs", "which"], rows, right=(1,), cls="reasons")
