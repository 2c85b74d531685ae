"""Looks at processes from outside, for tests that kill them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def until(true: Callable[[], bool], within_s: float) -> bool:
    """Whether it became true in time; looks often."""
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def session_of(leader: int) -> list[int]:
    """Living processes of the leader's session: the driver, the fork server, the resource tracker, workers."""
    return [pid for pid, (_, session) in _living().items() if session == leader]


def workers_of(leader: int) -> list[int]:
    """Workers of a driver that leads its session: the children of its children (its fork server)."""
    living = _living()
    return [
        pid
        for pid, (parent, session) in living.items()
        if session == leader and parent in living and living[parent][0] == leader
    ]


def _living() -> dict[int, tuple[int, int]]:
    """Parent and session by process id."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            found[int(entry.name)] = (int(fields[1]), int(fields[3]))
    return found
