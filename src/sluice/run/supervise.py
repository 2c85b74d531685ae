"""Keeps one worker process at its task: replaces the dead, stops the hung, blames the right row.

Every engine hosts this code where its workers live: the local engine one object a worker in the driver, a
cluster engine one inside each actor (`Supervised.run`).
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from multiprocessing.sharedctypes import RawArray
from time import monotonic, monotonic_ns
from types import ModuleType
from typing import Any, Generic, cast

from sluice.errors import RunError, SluiceError
from sluice.run import worker
from sluice.run.engine import (
    NO_ROW,
    ROW,
    SINCE,
    STEP,
    Beat,
    Done,
    Job,
    Probing,
    Result,
    Task,
    WorkerLimits,
    rest,
)
from sluice.run.suspects import Call, Case, Count, Death, GiveUp, Move, Probe
from sluice.run.worker import Inherited, Order, Report

_START_WEIGHT, _STARTS = 4, 12
"""Three workers that crash before their first task end the run: that is no sample's doing. A kill, which may
come from outside, weighs a quarter of a crash."""

_RECYCLE_SHARE = 0.5
"""A worker whose resident size has grown by this share of `memory_mb` between tasks is replaced, so that what
operators leak (or fragment) is not held against the samples that follow."""

_DETAIL_CHARS = 2_000
_SAID_BYTES = 64_000
_JOIN_S = 5.0


@dataclass(frozen=True)
class Launch(Generic[Task, Result]):
    """All that is needed to start a worker for a job, again and again."""

    job: Job[Task, Result]
    payload: bytes
    limits: WorkerLimits
    context: BaseContext

    @classmethod
    def of(cls, job: Job[Task, Result], limits: WorkerLimits, context: BaseContext) -> Launch[Task, Result]:
        """Pickle the job once; RunError where it cannot be."""
        try:
            payload = bytes(ForkingPickler.dumps(job))
        except Exception as error:  # pickling runs the job's own code
            raise RunError(
                f"the job cannot be sent to workers: {error}",
                fix="define it and what it holds at module level",
            ) from error
        return cls(job, payload, limits, context)

    @property
    def tick_s(self) -> float:
        """How often a worker should be looked at for overrunning its limits, in seconds."""
        return min(0.25, self.limits.sample_s / 4)


class _Process:
    """A live worker: the process, the pipe to it, the beat they share, the file of what it printed."""

    def __init__(self, launch: Launch[Any, Any]) -> None:
        self.beat = cast(Beat, RawArray("q", 3))
        rest(self.beat)
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        # The worker shares this open file, and with it the position: only appending is safe from our seeks.
        fcntl.fcntl(self.said, fcntl.F_SETFL, os.O_APPEND)
        said = Inherited(self.said.fileno())
        self.link, theirs = launch.context.Pipe()
        make = cast(Callable[..., BaseProcess], launch.context.Process)  # type: ignore[attr-defined]
        self.process = make(
            target=worker.main,
            args=(theirs, self.beat, said, launch.limits),
            daemon=True,
            name="sluice-worker",
        )
        try:
            with _main_module(wanted=b"__main__" in launch.payload):
                self.process.start()
        finally:
            theirs.close()
        self.pid = self.process.pid
        with suppress(OSError):  # it died already: noticed at the next look
            self.link.send_bytes(launch.payload)

    def end(self, *, kill: bool) -> None:
        if kill:
            self.process.kill()
        self.process.join(_JOIN_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def close(self) -> None:
        """After `end`."""
        self.link.close()
        self.said.close()
        self.process.close()

    def last_words(self) -> str:
        self.said.seek(0, os.SEEK_END)
        self.said.seek(max(0, self.said.tell() - _SAID_BYTES))
        words = self.said.read().decode("utf-8", "replace").strip()
        # What Python says of a fatal signal begins with the signal and ends with a long list of modules.
        fatal = words.rfind("Fatal Python error")
        return words[fatal:][:_DETAIL_CHARS] if fatal >= 0 else words[-_DETAIL_CHARS:]


@contextmanager
def _main_module(wanted: bool) -> Iterator[None]:
    """Let a worker that starts now import the main script, or not.

    A worker of multiprocessing runs the main script once more, for what it may define. Only a job that holds
    something of it needs that: for all others it costs its imports again, and a script without a guard, as
    people write them, would start a run in each of its workers. A worker is told of the script that stands
    in `sys.modules` when it starts; an empty stand-in has none.
    """
    main = sys.modules["__main__"]
    if not wanted:
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class Supervised(Generic[Task, Result]):
    """One worker and the task it has.

    `begin` gives it a task; then `attend`, called whenever one of `waitables` is ready and at least every
    `tick_s`, returns what became of it once that is known. Never blocks for long. Raises what the job raised.
    """

    def __init__(self, launch: Launch[Task, Result]) -> None:
        self._launch = launch
        self._process: _Process | None = None
        self._ready = False
        self._failed_starts = 0
        self._base_rss_mb = self._peak_rss_mb = 0.0
        self._task: Task | None = None
        self._case: Case | None = None
        self._move: Move | None = None
        self._began = self._sent = 0.0
        self._sent_ns = 0

    @property
    def busy(self) -> bool:
        """Whether a task is under way."""
        return self._case is not None

    @property
    def pid(self) -> int | None:
        """Process id of the present worker."""
        process = self._process
        return process.pid if process else None

    @property
    def waitables(self) -> list[Connection | int]:
        """What to wait for: the worker's pipe and its sentinel."""
        return [self._process.link, self._process.process.sentinel] if self._process else []

    def begin(self, task: Task) -> None:
        """Give the worker a task; it must not be busy."""
        self._task, self._case = task, Case(can_probe=isinstance(self._launch.job, Probing))
        self._began = monotonic()
        self._carry_out(self._case.begin())

    def attend(self) -> Done[Task, Result] | None:
        """Look after the worker; the finished task, if it has just finished."""
        process = self._process
        if process is None:
            return None
        try:
            if process.link.poll():
                return self._heard(self._receive(process))
        except (EOFError, OSError):
            return self._died(process)
        if not process.process.is_alive() and not process.link.poll():
            return self._died(process)
        return self._check_time(process) if self._ready and self.busy else None

    def run(self, task: Task) -> Done[Task, Result]:
        """Do one task to its end, waiting for it."""
        self.begin(task)
        while True:
            wait(self.waitables, self._launch.tick_s)
            done = self.attend()
            if done is not None:
                return done

    def release(self) -> None:
        """Tell an idle worker that there is no more to do; `stop` reaps it."""
        if self._process is not None and not self.busy:
            with suppress(OSError):
                self._process.link.send(None)

    def stop(self) -> None:
        """End the worker: in peace where it is idle, at once where it is not."""
        self.release()
        process, self._process = self._process, None
        if process is not None:
            process.end(kill=self.busy or not self._ready)
            process.close()
        self._case = None

    # Carrying out moves.

    def _carry_out(self, move: Move) -> Done[Task, Result] | None:
        if isinstance(move, GiveUp):
            return self._done(None, move.error, monotonic() - self._began)
        self._move = move
        if self._process is None:
            self._ready = False
            self._process = _Process(self._launch)
        elif self._ready:
            self._send(self._process, move)
        return None

    def _send(self, process: _Process, move: Move) -> None:
        try:
            data = ForkingPickler.dumps(_order(self._task, move))
        except Exception as error:  # pickling runs the task's own code
            raise RunError(f"a task cannot be sent to workers: {error}", where=named(self._task)) from error
        rest(process.beat)
        self._sent_ns = monotonic_ns()
        with suppress(OSError):  # it died already: noticed at the next look
            process.link.send_bytes(data)

    def _receive(self, process: _Process) -> Report:
        data = process.link.recv_bytes()
        try:
            return cast(Report, ForkingPickler.loads(data))
        except Exception as error:  # unpickling runs the result's own code
            raise RunError(f"a result cannot be read: {error}", where=named(self._task)) from error

    def _heard(self, report: Report) -> Done[Task, Result] | None:
        assert self._process is not None
        if report.kind == "error":
            raise self._raised(report)
        if report.kind == "memory":
            death = self._death(self._process, "memory limit", report.message + "\n" + report.text)
            self._bury(self._process)
            return self._after(death)
        self._peak_rss_mb = max(self._peak_rss_mb, report.peak_rss_mb)
        if report.kind == "ready":
            self._ready, self._failed_starts, self._base_rss_mb = True, 0, report.rss_mb
            if self._move is not None:
                self._send(self._process, self._move)
            return None
        return self._answered(report)

    def _answered(self, report: Report) -> Done[Task, Result] | None:
        assert self._case is not None
        self._base_rss_mb = max(
            self._base_rss_mb, report.base_rss_mb
        )  # models may have been opened meanwhile
        self._recycle(report.rss_mb)
        if isinstance(self._move, Call):
            return self._done(report.value, None, report.seconds)
        return self._carry_out(self._case.answered(report.value or 0))

    def _done(self, result: Result | None, error: str | None, seconds: float) -> Done[Task, Result]:
        case, task = cast(Case, self._case), cast(Task, self._task)
        self._case = self._task = self._move = None
        return Done(task, result, error, seconds, self._peak_rss_mb, case.attempts, dict(case.quarantined))

    def _raised(self, report: Report) -> SluiceError:
        if report.exception is not None:
            with suppress(Exception):  # the text below tells the same
                error = ForkingPickler.loads(report.exception)
                if isinstance(error, SluiceError):
                    error.add_note(report.text)
                    return error
        where = named(self._task) if self._case is not None else "opening the job in a worker"
        return RunError(f"{report.message}\n{report.text}", where=where)

    # Deaths.

    def _check_time(self, process: _Process) -> Done[Task, Result] | None:
        row = process.beat[ROW]
        since = max(process.beat[SINCE], self._sent_ns)
        allowed_s = _allowed_s(self._launch.limits, row)
        if (monotonic_ns() - since) / 1e9 <= allowed_s:
            return None
        reason = "stalled" if row == NO_ROW else "time limit"
        death = self._death(process, reason, f"no progress for {allowed_s:g} s", overrun=row > NO_ROW)
        process.end(kill=True)
        if (process.beat[ROW], max(process.beat[SINCE], self._sent_ns)) != (row, since):
            death = self._death(process, "stalled", "", outside=True)  # it moved on just before it was killed
        self._bury(process)
        return self._after(death)

    def _died(self, process: _Process) -> Done[Task, Result] | None:
        process.end(kill=False)
        code = process.process.exitcode or 0
        reason = f"crash: {signal.Signals(-code).name}" if code < 0 else f"crash: exit code {code}"
        death = self._death(process, reason, process.last_words(), outside=code in _FROM_OUTSIDE)
        self._bury(process)
        return self._after(death)

    def _death(
        self, process: _Process, reason: str, detail: str, *, overrun: bool = False, outside: bool = False
    ) -> Death:
        row, step = process.beat[ROW], process.beat[STEP]
        name = self._launch.job.step_name(step) if row != NO_ROW and step >= 0 else ""
        return Death(reason, detail[-_DETAIL_CHARS:], max(row, NO_ROW), name, outside, overrun)

    def _bury(self, process: _Process) -> None:
        self._process = None
        process.end(kill=True)
        process.close()

    def _after(self, death: Death) -> Done[Task, Result] | None:
        started, self._ready = self._ready, False
        if not started:
            self._failed_starts += 1 if death.outside else _START_WEIGHT
            if self._failed_starts >= _STARTS:
                raise RunError(
                    f"workers die while they start ({death.reason})\n{death.detail}".rstrip(),
                    fix="run with --workers 0 to see the cause in this process; a script that runs Sluice"
                    ' needs `if __name__ == "__main__":`',
                )
        if self._case is None:
            return None  # it was idle: the next task starts another
        if not started and self._move is not None:
            return self._carry_out(self._move)
        return self._carry_out(self._case.died(death))

    def _recycle(self, rss_mb: float) -> None:
        memory_mb = self._launch.limits.memory_mb
        if memory_mb is None or rss_mb - self._base_rss_mb <= memory_mb * _RECYCLE_SHARE:
            return
        process, self._process, self._ready = self._process, None, False
        if process is not None:
            with suppress(OSError):
                process.link.send(None)
            process.end(kill=False)
            process.close()


# SIGKILL and SIGTERM are sent by people and by a kernel short of memory; 255 is what a child of a fork server
# that was itself killed seems to have left with.
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, 255)


def _allowed_s(limits: WorkerLimits, row: int) -> float:
    """How long what is under way may take: one sample, one call for several items, or anything else."""
    if row == NO_ROW:
        return limits.stall_s
    return limits.sample_s if row > NO_ROW else min(limits.stall_s, limits.sample_s * (NO_ROW - row))


def _order(task: object, move: Move) -> Order:
    if isinstance(move, Call):
        return Order("call", task, quarantined=move.quarantined)
    if isinstance(move, Count):
        return Order("count", task)
    assert isinstance(move, Probe)
    return Order("probe", task, rows=move.rows)


def named(task: object) -> str:
    """A task as messages name it: its text, cut."""
    text = str(task)
    return text if len(text) <= 200 else text[:197] + "..."
