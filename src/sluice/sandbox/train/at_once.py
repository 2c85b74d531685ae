"""How many runs may be at work at a time."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from sluice.errors import UsageError

AtOnce = Annotated[int, Field(ge=1)]
"""`at_once: 4`; programs that ask for GPUs wait for theirs, however many are begun."""


def refuse_crowd(component: Any, name: str, at_once: int) -> None:
    """`UsageError` where a component works in this process, which is one run's alone: its seed is the process's."""
    if at_once > 1 and not getattr(component, "at_once", False):
        raise UsageError(f"{name} does one run at a time", fix="leave `at_once` out")
