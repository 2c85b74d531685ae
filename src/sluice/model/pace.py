"""Spaces requests out, so that all workers together keep to an endpoint's rate limit."""

from __future__ import annotations

import fcntl
import threading
import time
from pathlib import Path


class Pace:
    """At most `per_minute` requests a minute, evenly spaced; None for no limit.

    Processes that share a folder share the pace: the time of the next free slot stands in a file there.
    """

    def __init__(self, per_minute: float | None, folder: Path | None) -> None:
        self._interval_s = 60 / per_minute if per_minute else 0.0
        self._folder = folder
        self._lock = threading.Lock()
        self._next_s = 0.0

    def wait(self) -> None:
        """Return when the next request may be sent."""
        if self._interval_s:
            time.sleep(max(0.0, self._slot_s() - time.time()))

    def _slot_s(self) -> float:
        with self._lock:
            if self._folder is None:
                slot = max(time.time(), self._next_s)
                self._next_s = slot + self._interval_s
                return slot
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / "pace").open("a+", encoding="ascii") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.seek(0)
                slot = max(time.time(), _number(file.read()))
                file.seek(0)
                file.truncate()
                file.write(f"{slot + self._interval_s:.6f}")
                return slot


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0  # empty, or cut by a kill
