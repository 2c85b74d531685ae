"""What an engine is: it hands tasks to workers and survives what they do.

Nothing here, and nothing in a job or a task, depends on being on one machine: the local engine runs workers
as processes beside the driver, a cluster engine hosts the same supervision inside its actors.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from sluice.codec.limits import Limits

Task = TypeVar("Task")
Result = TypeVar("Result")
TaskIn = TypeVar("TaskIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)

Beat: TypeAlias = MutableSequence[int]
"""Three int64 that a worker shares with its supervisor: row under way, step under way, and the time
(monotonic ns) at which the row began. See `ROW`, `STEP`, `SINCE`, `NO_ROW` and `rest`."""

ROW, STEP, SINCE = 0, 1, 2
NO_ROW = -1
"""Value of `beat[ROW]` while no sample is under way: reading, writing, committing. NO_ROW − n stands for one
call that takes n items at once."""


def rest(beat: Beat) -> None:
    """Say that no row is under way from now on; a job calls it before it reads, writes or commits.

    Without it a death during a commit would make a suspect of the last sample that was measured.
    """
    beat[ROW], beat[STEP], beat[SINCE] = NO_ROW, -1, monotonic_ns()


@dataclass(frozen=True)
class WorkerLimits:
    """What one worker may take before it is stopped.

    `sample_s`: seconds without a new row begun while a row is under way; then the worker is killed and that
    sample counted as failed. One call that takes n items has n times as long, and at most `stall_s`.
    `memory_mb`: MiB (2**20 bytes) of private memory beyond what the worker holds once its job is open; None
    for no limit. `stall_s`: seconds without a beat while no row is under way (a read from, or a write to, a
    store that hangs); generous, since a shard may be large and a link slow.
    `codec`: what a header may promise before its bytes are decoded; None leaves the codec's own defaults.
    """

    sample_s: float = 60.0
    memory_mb: int | None = 4096
    stall_s: float = 900.0
    codec: Limits | None = None


@dataclass(frozen=True)
class Quarantine:
    """Why a row must not be run again: the job records that sample as failed.

    `reason` is a short phrase to count by ("crash: SIGSEGV", "time limit", "memory limit"), `detail` what the
    worker said last on its standard error, `step` the operator that was running ("" where unknown).
    """

    reason: str
    detail: str = ""
    step: str = ""


class Job(Protocol[TaskIn, ResultOut]):
    """The work of one pass. Picklable; one object serves every task; a copy lives in each worker."""

    def open(self) -> None:
        """Import, load models; once in each worker, before its first task."""

    def __call__(self, task: TaskIn, beat: Beat, quarantined: Mapping[int, Quarantine]) -> ResultOut:
        """Do one task; may be called again for the same task after a worker died, so commits are atomic.

        Rows in `quarantined` are not touched but recorded as failed. An exception ends the whole run: trouble
        with single samples belongs into the result.
        """

    def step_name(self, step: int) -> str:
        """Name of the operator that `beat[STEP]` stands for; called in the driver, for messages."""


@runtime_checkable
class Probing(Protocol):
    """A job that can be bisected where the beat cannot tell which row kills the worker.

    Such deaths happen outside any row, in an operator that takes a whole batch, or late, after an earlier row
    has damaged the heap. A job without these two methods fails such a task as a whole.
    """

    def rows(self, task: object) -> int:
        """How many rows the task has; rows count from 0."""

    def probe(self, task: object, rows: Sequence[int], beat: Beat) -> None:
        """Do with these rows what a call would do with them, and keep nothing: no commit, no result."""


@dataclass(frozen=True)
class Done(Generic[Task, Result]):
    """A task and what became of it.

    `result` is None exactly where `error` tells why the task failed as a whole. `seconds` is the wall time
    of the attempt that succeeded (or of all, where none did), `peak_rss_mb` the largest resident size (MiB)
    that its worker ever had, `attempts` how often workers started on it, probes included.
    """

    task: Task
    result: Result | None
    error: str | None = None
    seconds: float = 0.0
    peak_rss_mb: float = 0.0
    attempts: int = 1
    quarantined: Mapping[int, Quarantine] = field(default_factory=dict)


class Engine(Protocol):
    """Runs the tasks of a job on `workers` workers."""

    workers: int

    def run(self, job: Job[Task, Result], tasks: Iterable[Task]) -> Generator[Done[Task, Result], None, None]:
        """Results as they come, in no order. Pulls tasks lazily: never more than 2 x workers in flight.

        Raises what the job raised (its own type for a SluiceError, else RunError), and InterruptedRunError
        after Ctrl-C. Closing the iterator stops the workers.
        """

    def close(self) -> None:
        """Stop whatever still runs; the engine cannot be used afterwards."""
