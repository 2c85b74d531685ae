"""The inside of a worker process: obeys its supervisor and never outlives its driver."""

from __future__ import annotations

import ctypes
import faulthandler
import multiprocessing
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import DupFd, ForkingPickler
from time import perf_counter
from typing import Any, Literal

from sluice.errors import SluiceError
from sluice.run.engine import Beat, WorkerLimits, rest
from sluice.run.memory import base_rss_mb, limit_memory, peak_rss_mb, reuse_memory, rss_mb

ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Set for workers. One thread, however few workers there are: sums that are split over threads differ in their
last bits, and a value must not depend on how many workers or cores there are. And the system's allocator for
Arrow: its default one keeps freed memory, 15 MB a worker that never came back in a run over 20,000 pictures."""

_TRACEBACK_CHARS = 4_000


@dataclass(frozen=True)
class Order:
    """What the supervisor asks for: call the job, count a task's rows, or probe some of them."""

    kind: Literal["call", "count", "probe"]
    task: Any
    quarantined: Mapping[int, Any] | None = None
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Report:
    """What the worker answers.

    `ready` once the job is open; `done` with the value; `memory` where a MemoryError left the job (the worker
    ends then, its heap is not to be trusted); `error` with the pickled exception and its traceback as text.
    Sizes in MiB; `base_rss_mb` is the resident size with the job and its models open.
    """

    kind: Literal["ready", "done", "memory", "error"]
    value: Any = None
    seconds: float = 0.0
    rss_mb: float = 0.0
    peak_rss_mb: float = 0.0
    base_rss_mb: float = 0.0
    exception: bytes | None = None
    message: str = ""
    text: str = ""


class Inherited:
    """A file descriptor that travels to a worker as it starts."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (DupFd(self.fd),)


def _received(duplicate: Any) -> Inherited:
    return Inherited(duplicate.detach())


def main(link: Connection, beat: Beat, said: Inherited, limits: WorkerLimits) -> None:
    """Serve orders until the supervisor hangs up. `said` receives all that is printed here."""
    _settle(said.fd)
    try:
        job = link.recv()
        _single_threaded()
        reuse_memory()
        apply_codec_limits(limits)
        job.open()
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - carried to the driver, which raises it
        _send(link, _failure(error))
        return
    limit_memory(limits.memory_mb)
    _send(link, Report("ready", rss_mb=base_rss_mb(), peak_rss_mb=peak_rss_mb()))
    while _serve(link, job, beat):
        pass


def _serve(link: Connection, job: Any, beat: Beat) -> bool:
    """One order; False when there will be no more."""
    try:
        order = link.recv()
    except (EOFError, OSError):
        return False
    except Exception as error:  # noqa: BLE001 - a task that cannot be unpickled here is told to the driver
        return _send(link, _failure(error))
    if order is None:
        return False
    os.ftruncate(2, 0)  # what was printed before this task says nothing about it
    started = perf_counter()
    try:
        value = _obey(job, order, beat)
    except MemoryError as error:
        # The row stays in the beat: it is the suspect.
        _send(link, Report("memory", message=str(error), text=_trace(error)))
        return False
    except Exception as error:  # noqa: BLE001 - carried to the driver, which raises it
        rest(beat)
        return _send(link, _failure(error))
    rest(beat)
    seconds = perf_counter() - started
    return _send(link, Report("done", value, seconds, rss_mb(), peak_rss_mb(), base_rss_mb()))


def _obey(job: Any, order: Order, beat: Beat) -> Any:
    rest(beat)
    if order.kind == "count":
        return job.rows(order.task)
    if order.kind == "probe":
        return job.probe(order.task, order.rows, beat)
    return job(order.task, beat, order.quarantined)


def _send(link: Connection, report: Report) -> bool:
    """Answer; False where the supervisor is gone."""
    try:
        data = ForkingPickler.dumps(report)
    except Exception as error:  # noqa: BLE001 - a result that cannot be pickled is the job's fault; say so
        data = ForkingPickler.dumps(_failure(error))
    try:
        link.send_bytes(data)
    except OSError:
        return False
    return True


def _failure(error: Exception) -> Report:
    exception = None
    if isinstance(error, SluiceError):
        try:
            exception = bytes(ForkingPickler.dumps(error))
        except Exception:  # noqa: BLE001 - the text below still tells everything
            exception = None
    return Report(
        "error", exception=exception, message=f"{type(error).__name__}: {error}", text=_trace(error)
    )


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(error))[-_TRACEBACK_CHARS:]


def _settle(said: int) -> None:
    """Be a good child: no terminal, no Ctrl-C of one's own, an end with the driver's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides what Ctrl-C means
    signal.pthread_sigmask(
        signal.SIG_UNBLOCK, {signal.SIGINT}
    )  # blocked until now: see the fork server's start
    os.dup2(said, 2)
    os.dup2(said, 1)
    os.close(said)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    faulthandler.enable(file=2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    _die_with_driver()


def _die_with_driver() -> None:
    """End when the driver ends, even while native code holds the interpreter.

    A thread watches the driver's sentinel; a hung extension may keep it from ever running, so on Linux the
    kernel is asked as well: the fork server ends with the driver, and its death kills its children.
    """
    driver = multiprocessing.parent_process()
    if driver is None:
        return
    # Were the driver itself our parent, the signal would come as soon as the thread that started us ends.
    if sys.platform == "linux" and os.getppid() != driver.pid:
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    threading.Thread(target=_watch, args=(driver.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _single_threaded() -> None:
    """One thread a worker in every library that is loaded; the environment covers those loaded later."""
    os.environ.update(ENVIRONMENT)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].set_cpu_count(1)


def apply_codec_limits(limits: WorkerLimits) -> None:
    """Put the codec limits in force for this process, where any are given."""
    if limits.codec is not None:
        from sluice.codec.limits import set_limits

        set_limits(limits.codec)
