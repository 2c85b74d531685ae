"""Runs tasks on this machine: one supervised process a worker, or none at all for debugging."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import tempfile
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from pathlib import Path
from time import monotonic, perf_counter
from types import FrameType
from typing import Any, Generic, Literal

from sluice.errors import InterruptedRunError, RunError, SluiceError, UsageError
from sluice.run.engine import Done, Job, Result, Task, WorkerLimits, rest
from sluice.run.supervise import Launch, Supervised, named
from sluice.run.worker import ENVIRONMENT, apply_codec_limits

PRELOAD = (
    "numpy",
    "xxhash",
    "pyarrow",
    "pyarrow.parquet",
    "cv2",
    "simplejpeg",
    "PIL.Image",
    "sluice.run.worker",
    "sluice.sample",
    "sluice.storage",
    "sluice.codec",
    "sluice.operator",
    "sluice.run.measure",
    "sluice.run.export",
    "sluice.run.warm",
)
"""Modules that the fork server imports once, so that a worker starts in milliseconds (measured: 40 ms from a
job to its first result). None may start threads when imported, since a fork copies none; the one that
pyarrow's allocator starts is its own, and restarted or done without after a fork."""

GRACE_S = 10.0
"""How long units under way may go on after Ctrl-C: long enough for most, short enough to wait for."""


class LocalEngine:
    """Workers on this machine.

    `workers`: how many processes; None for one a usable core; 0 runs everything in this process, for
    debugging, where no limit holds and a crash is a crash. `preload` adds modules to what the fork server
    imports before the first worker. `notice` is told, in one sentence, what a Ctrl-C now waits for. The
    fork server starts with the engine, so that its imports overlap with whatever the caller does meanwhile.
    """

    def __init__(
        self,
        workers: int | None = None,
        limits: WorkerLimits | None = None,
        *,
        start_method: Literal["forkserver", "spawn"] = "forkserver",
        preload: Sequence[str] = (),
        grace_s: float = GRACE_S,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        if workers is not None and workers < 0:
            raise UsageError(f"{workers} workers", fix="give 0 (no processes) or more, or leave it out")
        self.workers = usable_cores() if workers is None else workers
        self.limits = limits or WorkerLimits()
        self.grace_s, self._notice = grace_s, notice
        self._context = multiprocessing.get_context(start_method)
        self._live: set[Supervised[Any, Any]] = set()
        self._closed = False
        if self.workers and start_method == "forkserver":
            start_fork_server(preload)

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, job: Job[Task, Result], tasks: Iterable[Task]) -> Generator[Done[Task, Result], None, None]:
        """See `Engine.run`. Close the iterator (or the engine) where it is not read to its end."""
        if self._closed:
            raise UsageError("the engine is closed", fix="make another LocalEngine")
        if self.workers == 0:
            return _run_here(job, tasks, self.limits)
        return self._run(Launch.of(job, self.limits, self._context), tasks)

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that live at present, for those who watch or shoot them."""
        return [pid for supervised in list(self._live) if (pid := supervised.pid) is not None]

    def close(self) -> None:
        """Stop all workers, busy or not."""
        self._closed = True
        for supervised in list(self._live):
            supervised.stop()
        self._live.clear()

    def _run(
        self, launch: Launch[Task, Result], tasks: Iterable[Task]
    ) -> Generator[Done[Task, Result], None, None]:
        crew = _Crew(launch, iter(tasks), self.workers)
        with _interrupts() as interrupt:
            try:
                while not interrupt.asked:
                    crew.hand_out()
                    self._track(crew)
                    if crew.idle:
                        break
                    yield from crew.attend()
                else:
                    yield from self._finish(crew)
            except KeyboardInterrupt:
                raise _interrupted() from None
            finally:
                crew.stop()
                self._track(crew)
        if interrupt.asked:
            raise _interrupted()

    def _finish(self, crew: _Crew[Task, Result]) -> Iterator[Done[Task, Result]]:
        """After Ctrl-C: no new tasks, but those under way may end."""
        if self._notice is not None and crew.busy:
            self._notice(
                f"finishing {crew.busy} units (at most {self.grace_s:g} s); Ctrl-C again stops at once"
            )
        deadline = monotonic() + self.grace_s
        while not crew.idle and monotonic() < deadline:
            yield from crew.attend()

    def _track(self, crew: _Crew[Task, Result]) -> None:
        for supervised in crew.members:
            if supervised.pid is None:
                self._live.discard(supervised)
            else:
                self._live.add(supervised)


class _Crew(Generic[Task, Result]):
    """The workers of one job, started as tasks come."""

    def __init__(self, launch: Launch[Task, Result], tasks: Iterator[Task], workers: int) -> None:
        self._launch, self._tasks, self._workers = launch, tasks, workers
        self._results: deque[Done[Task, Result]] = deque()
        self._exhausted = False
        self.members: list[Supervised[Task, Result]] = []

    @property
    def busy(self) -> int:
        """Workers with a task."""
        return sum(member.busy for member in self.members)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way and nothing waits to be fetched."""
        return not self._results and not self.busy

    def hand_out(self) -> None:
        """Give every free worker a task, as long as results are fetched."""
        while not self._exhausted and self.busy + len(self._results) < 2 * self._workers:
            free = self._free()
            if free is None:
                return
            try:
                task = next(self._tasks)
            except StopIteration:
                self._exhausted = True
                return
            free.begin(task)

    def attend(self) -> Iterator[Done[Task, Result]]:
        """Look after all workers once; then one finished task, if there is any."""
        waitables = [handle for member in self.members for handle in member.waitables]
        wait(waitables, 0 if self._results else self._launch.tick_s)
        for member in self.members:
            done = member.attend()
            if done is not None:
                self._results.append(done)
        if self._results:
            yield self._results.popleft()

    def stop(self) -> None:
        """End all workers; idle ones together, in peace."""
        for member in self.members:
            member.release()
        for member in self.members:
            member.stop()

    def _free(self) -> Supervised[Task, Result] | None:
        for member in self.members:
            if not member.busy:
                return member
        if len(self.members) == self._workers:
            return None
        self.members.append(Supervised(self._launch))
        return self.members[-1]


def _run_here(
    job: Job[Task, Result], tasks: Iterable[Task], limits: WorkerLimits
) -> Generator[Done[Task, Result], None, None]:
    """All tasks in this process, one after the other; an exception passes as it would from a worker."""
    beat = [0, 0, 0]
    try:
        apply_codec_limits(limits)
        job.open()
        for task in tasks:
            rest(beat)
            started = perf_counter()
            result = _call_here(job, task, beat)
            yield Done(task, result, None, perf_counter() - started)
    except KeyboardInterrupt:
        raise _interrupted() from None


def _call_here(job: Job[Task, Result], task: Task, beat: list[int]) -> Result:
    nobody: Mapping[int, Any] = {}
    try:
        return job(task, beat, nobody)
    except SluiceError:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
        raise RunError(text, where=named(task)) from error


def _interrupted() -> InterruptedRunError:
    return InterruptedRunError(
        "interrupted; what was finished is kept", fix="run the same command again to continue"
    )


class _Interrupt:
    """Whether Ctrl-C was pressed; the second time is for those who do not want to wait."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def _interrupts() -> Iterator[_Interrupt]:
    """Turn the first Ctrl-C into a request, for as long as tasks run.

    Only in the main thread and only in place of Python's own handler: an application that handles the signal
    itself keeps its say, and a KeyboardInterrupt that it raises ends the run at once.
    """
    interrupt = _Interrupt()
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupt
    finally:
        if ours and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)


def start_fork_server(preload: Sequence[str] = ()) -> None:
    """Start the fork server, or use the one that this process has already (it imports nothing more then).

    Whoever knows early that an engine will be wanted calls this first: the imports of the workers, a second
    on a slow machine, then overlap with everything else.
    """
    known = {name: os.environ.get(name) for name in ENVIRONMENT}
    forkserver.set_forkserver_preload(list(dict.fromkeys((*PRELOAD, *preload))))
    # BLAS libraries read these once, when they are loaded, which for workers happens in the fork server.
    os.environ.update(ENVIRONMENT)
    # It would die of a Ctrl-C that reaches it during its imports: it inherits our deafness, and keeps it. The
    # tracker comes first, since starting it ends with unblocking the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    except OSError as error:
        if "AF_UNIX path too long" not in str(error):
            raise
        raise UsageError(
            "the path of the folder for temporary files is too long: sockets of the workers lie in it",
            where=tempfile.gettempdir(),
            fix="set TMPDIR to a folder with a shorter path (of 70 bytes at most), or say --workers 0",
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for name, value in known.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may use: its affinity within its control group's CPU quota; at least 1."""
    if hasattr(os, "process_cpu_count"):
        cores = os.process_cpu_count() or 1
    elif hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min([cores, *_quotas(cgroup)]))


def _quotas(cgroup: Path) -> Iterator[int]:
    """CPU quotas in whole cores, rounded up, as control groups of version 2 and 1 state them."""
    with suppress(OSError, ValueError, IndexError):
        quota, period = (cgroup / "cpu.max").read_text().split()[:2]
        yield math.ceil(int(quota) / int(period))  # "max" is no number: no quota
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota_us = int((cgroup / "cpu" / "cpu.cfs_quota_us").read_text())
        period_us = int((cgroup / "cpu" / "cpu.cfs_period_us").read_text())
        if quota_us > 0:
            yield math.ceil(quota_us / period_us)
