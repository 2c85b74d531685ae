"""Jobs that do to their workers all that samples do to them in the wild; importable by worker processes."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sluice.errors import StorageError
from sluice.run.engine import ROW, SINCE, STEP, Beat, Quarantine, rest


@dataclass(frozen=True)
class Rows:
    """A task: `count` rows of `row_s` seconds each; `deeds` says what some of them do."""

    name: str
    count: int = 20
    deeds: Mapping[int, str] = field(default_factory=dict)
    row_s: float = 0.0
    load: bytes = b""


@dataclass(frozen=True)
class Outcome:
    name: str
    good: tuple[int, ...]
    failed: Mapping[int, str]
    pid: int
    opened: int


class NotOursError(Exception):
    """An exception that is no SluiceError."""


class RowsJob:
    """Touches row after row; `outside_rows` hides from the beat which row is under way."""

    def __init__(self, outside_rows: bool = False) -> None:
        self.outside_rows, self.opened = outside_rows, 0

    def open(self) -> None:
        self.opened += 1

    def step_name(self, step: int) -> str:
        return ["looking", "doing"][step]

    def __call__(self, task: Rows, beat: Beat, quarantined: Mapping[int, Quarantine]) -> Outcome:
        good = []
        for row in range(task.count):
            if row not in quarantined:
                self.touch(task, row, beat)
                good.append(row)
        rest(beat)
        failed = {row: q.reason for row, q in quarantined.items()}
        return Outcome(task.name, tuple(good), failed, os.getpid(), self.opened)

    def touch(self, task: Rows, row: int, beat: Beat) -> None:
        if not self.outside_rows:
            beat[ROW], beat[STEP], beat[SINCE] = row, 1, time.monotonic_ns()
        if task.row_s:
            time.sleep(task.row_s)
        if row in task.deeds:
            DEEDS[task.deeds[row]]()


class ProbingJob(RowsJob):
    """The same, and may be bisected."""

    def rows(self, task: Rows) -> int:
        return task.count

    def probe(self, task: Rows, rows: Sequence[int], beat: Beat) -> None:
        for row in rows:
            self.touch(task, row, beat)


class BatchJob(ProbingJob):
    """Its deadly operator takes the whole batch, so the beat blames the last row, whichever that is."""

    def touch(self, task: Rows, row: int, beat: Beat) -> None:
        beat[ROW], beat[STEP], beat[SINCE] = row, 1, time.monotonic_ns()

    def __call__(self, task: Rows, beat: Beat, quarantined: Mapping[int, Quarantine]) -> Outcome:
        self.probe(task, [r for r in range(task.count) if r not in quarantined], beat)
        return super().__call__(task, beat, quarantined)

    def probe(self, task: Rows, rows: Sequence[int], beat: Beat) -> None:
        rest(beat)
        for row in rows:
            if row in task.deeds:
                DEEDS[task.deeds[row]]()


class BrokenOpen(RowsJob):
    def open(self) -> None:
        raise StorageError("no model there", where="model.bin", fix="fetch it")


class DiesInOpen(RowsJob):
    def open(self) -> None:
        os.write(2, b"open is deadly\n")
        os._exit(7)


class Unpicklable(RowsJob):
    def __init__(self) -> None:
        super().__init__()
        self.made_here = lambda: None


class LambdaResult(RowsJob):
    def __call__(self, task: Rows, beat: Beat, quarantined: Mapping[int, Quarantine]) -> Any:
        return lambda: None


class Facts(RowsJob):
    """What a worker finds around itself."""

    def __call__(self, task: Rows, beat: Beat, quarantined: Mapping[int, Quarantine]) -> Any:
        import cv2
        import pyarrow

        os.write(1, b"to standard output")
        return {
            "stdin": os.read(0, 1),
            "sigint": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
            "cv2": cv2.getNumThreads(),
            "pyarrow": pyarrow.cpu_count(),
            "omp": os.environ.get("OMP_NUM_THREADS"),
        }


class Writes(RowsJob):
    """Leaves a mark on disk when it is done with a task; what survives an interruption can be counted."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def __call__(self, task: Rows, beat: Beat, quarantined: Mapping[int, Quarantine]) -> Outcome:
        (Path(self.folder) / f"{task.name}.started").touch()
        outcome = super().__call__(task, beat, quarantined)
        (Path(self.folder) / f"{task.name}.done").touch()
        return outcome


def _segfault() -> None:
    ctypes.string_at(0)


def _shoot_oneself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang() -> None:
    # Holds the interpreter lock, as a native loop would: no thread of the worker can run.
    ctypes.PyDLL(None).sleep(3600)


def _hoard() -> None:
    bytearray(64 << 30)


def _raise() -> None:
    raise NotOursError("a bug in an operator's plumbing")


def _no_space() -> None:
    raise StorageError("no space left on device", where="/full", fix="free some")


DEEDS = {
    "segv": _segfault,
    "kill": _shoot_oneself,
    "hang": _hang,
    "hoard": _hoard,
    "raise": _raise,
    "no space": _no_space,
    "abort": os.abort,
    "exit": lambda: os._exit(9),
    "leave": sys.exit,
}
