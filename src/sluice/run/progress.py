"""Tells whoever waits how a run is doing: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

PLAIN_EVERY_S = 5.0
"""Seconds between two lines where the output is no terminal: logs stay short, and one sees that it lives."""


class Progress:
    """A context manager that shows counts, rates and the time left.

    `total` counts `unit` (None where unknown). `tty` says whether `stream` (default: standard error) is a
    terminal; None asks it. `json` writes each line as a JSON object instead (event, label, samples, bytes,
    failed, kept, total, elapsed_s, per_s, left_s, done). `quiet` shows nothing, and counts all the same.
    `clock` gives seconds; tests pass their own.
    """

    def __init__(
        self,
        total: int | None = None,
        unit: str = "samples",
        *,
        label: str = "",
        stream: TextIO | None = None,
        tty: bool | None = None,
        json: bool = False,
        quiet: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.total, self.unit, self.label = total, unit, label
        self.samples = self.bytes = self.failed = 0
        self.kept: int | None = None
        self._stream = stream if stream is not None else sys.stderr
        self._tty = self._stream.isatty() if tty is None else tty
        self._json, self._quiet, self._clock = json, quiet, clock
        self._began = self._told = clock()
        self._bar: RichProgress | None = None
        self._bar_task: TaskID | None = None

    def __enter__(self) -> Progress:
        self._began = self._told = self._clock()
        if self._tty and not self._json and not self._quiet:
            self._bar = _bar(self._stream)
            self._bar_task = self._bar.add_task(self.label, total=self.total, details="")
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._show()
            self._bar.stop()
            self._bar = None
        elif not self._quiet:
            self._tell(done=kind is None)

    def update(
        self,
        samples: int = 0,
        bytes: int = 0,
        failed: int = 0,
        kept: int | None = None,
        total: int | None = None,
    ) -> None:
        """Add to the counts; `kept` (None where nobody judges yet) too; `total` replaces the total."""
        self.samples += samples
        self.bytes += bytes
        self.failed += failed
        if kept is not None:
            self.kept = (self.kept or 0) + kept
        if total is not None:
            self.total = total
        if self._quiet:
            return
        if self._bar is not None:
            self._show()
        elif self._clock() - self._told >= PLAIN_EVERY_S:
            self._tell()

    def say(self, message: str) -> None:
        """Write one line that stays, above the bar where there is one."""
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.console.print(message, markup=False, highlight=False)
        elif self._json:
            self._write(json_format.dumps({"event": "message", "message": message}))
        else:
            self._write(message)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    @property
    def per_s(self) -> float | None:
        """`unit` a second since the beginning; None before there is anything to divide."""
        return self.samples / self.elapsed_s if self.elapsed_s > 0 and self.samples else None

    @property
    def left_s(self) -> float | None:
        """Seconds left at the rate so far; None where the total or the rate is unknown."""
        if self.total is None or self.per_s is None:
            return None
        return max(0, self.total - self.samples) / self.per_s

    def line(self) -> str:
        """The present state in one line of text."""
        head = (
            f"{self.samples:,}" + (f" of {self.total:,}" if self.total is not None else "") + f" {self.unit}"
        )
        left = self.left_s
        parts = [head, *self._details(), f"{_duration(left)} left" if left else ""]
        text = " · ".join(part for part in parts if part)
        return f"{self.label}: {text}" if self.label else text

    def _details(self) -> list[str]:
        rate = self.per_s
        parts = []
        if rate is not None:
            parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
            if self.bytes:
                parts.append(f"{_size(self.bytes / self.elapsed_s)}/s")
        if self.kept is not None and self.samples:
            parts.append(f"{self.kept / self.samples:.0%} kept")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        return parts

    def _show(self) -> None:
        if self._bar is not None and self._bar_task is not None:
            details = " · ".join(self._details())
            self._bar.update(self._bar_task, completed=self.samples, total=self.total, details=details)

    def _tell(self, done: bool = False) -> None:
        self._told = self._clock()
        if self._json:
            self._write(json_format.dumps(self._state(done)))
        elif done:
            self._write(f"{self.line()} · took {_duration(self.elapsed_s)}")
        else:
            self._write(self.line())

    def _state(self, done: bool) -> dict[str, Any]:
        return {
            "event": "progress",
            "label": self.label,
            "samples": self.samples,
            "bytes": self.bytes,
            "failed": self.failed,
            "kept": self.kept,
            "total": self.total,
            "elapsed_s": round(self.elapsed_s, 3),
            "per_s": None if self.per_s is None else round(self.per_s, 3),
            "left_s": None if self.left_s is None else round(self.left_s, 1),
            "done": done,
        }

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def _bar(stream: TextIO) -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[details]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=Console(file=stream, force_terminal=True),
        refresh_per_second=4,
    )


def _size(count: float) -> str:
    """Bytes in decimal units, as disks and networks are sold: 1 MB is 10**6 bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _duration(seconds: float) -> str:
    """Seconds as people read them: "0.4 s", "42 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
