"""Hooks for tests of workflows: arithmetic on the blackboard, and ways to go wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from sluice.sandbox.registry import Registry, declarations, hook
from sluice.sandbox.workflow.job import Job


@hook(gives=("number",))
def number(job: Job, *, value: Any = 0) -> dict[str, Any]:
    """Gives a value."""
    return {"number": value}


@hook(gives=("total",))
def add(job: Job, number: float, total: float = 0.0, *, more: int = 0) -> dict[str, Any]:
    """Adds to the total of the round before."""
    return {"total": total + number + more}


@hook(gives=("table", "file"))
def write(job: Job, total: float) -> dict[str, Any]:
    """Gives a table and a file."""
    path = job.folder / "note.txt"
    path.write_text(f"{total}")
    return {"table": pa.table({"total": [total], "round": [job.round]}), "file": path}


@hook(gives=("tries",), resumes=True)
def stubborn(job: Job, *, tries: int = 3) -> dict[str, Any]:
    """Fails until it has been tried often enough."""
    marks = job.folder / "tries.txt"
    count = (len(marks.read_text()) if marks.exists() else 0) + 1
    marks.write_text("x" * count)
    if count < tries:
        raise ValueError(f"try {count}")
    return {"tries": count}


@hook(gives=("seen",))
def forgetful(job: Job, *, fail: bool = False) -> dict[str, Any]:
    """Tells what it finds in its folder."""
    found = sorted(path.name for path in job.folder.iterdir())
    (job.folder / "left.txt").write_text("left")
    if fail:
        raise ValueError("failed on purpose")
    return {"seen": found}


@hook(gives=("wrong",))
def wrong(job: Job, *, how: str) -> dict[str, Any]:
    """Gives what cannot be kept."""
    nothing = Path(job.folder / "nothing")
    return {"nan": {"wrong": float("nan")}, "type": {"wrong": object()}, "path": {"wrong": nothing}}.get(
        how, {"other": 1}
    )


def hooks() -> Registry:
    """All hooks of this file."""
    return Registry(declarations(__name__))
