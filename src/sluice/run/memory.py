"""Bounds the memory of a worker beyond what it holds once its job and its models are open."""

from __future__ import annotations

import ctypes
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_state: dict[str, float | None] = {"limit_mb": None, "base_rss_mb": None}


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT_BYTES = 32 << 20


def reuse_memory() -> None:
    """Keep freed memory of up to 32 MB at hand for the next picture, where the system's allocator is glibc's.

    It would give a decoded picture's megabyte back to the kernel and ask for the same, zeroed anew, a millisecond
    later: 300 page faults a picture, a sixth of the CPU time of a pass over JPEGs of 640 x 480.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another allocator
        return
    for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
        mallopt(option, _KEPT_BYTES)


def limit_memory(memory_mb: int | None) -> None:
    """Make a huge allocation a MemoryError, which costs one sample, not a call for the OOM killer.

    What this process holds now is not counted. RLIMIT_DATA counts private writable memory, which is what a
    decoder or a model takes; unlike RLIMIT_AS it leaves out mapped files and reserved address space, which cost
    nothing. Where the system does not say how much data a process has (it is not Linux), RLIMIT_AS over the
    resident size stands in, if it is accepted.
    """
    _state["base_rss_mb"] = rss_mb()
    _state["limit_mb"] = memory_mb
    if memory_mb is None:
        return
    kind, used = _counted()
    hard = resource.getrlimit(kind)[1]
    limit = used + (memory_mb << 20)
    _set_limit(kind, limit if hard == resource.RLIM_INFINITY else min(limit, hard))


@contextmanager
def opening() -> Iterator[None]:
    """For what a job opens late, a model above all: not limited, and not counted afterwards.

    Does nothing in a process without a limit.
    """
    memory_mb = _state["limit_mb"]
    if memory_mb is None:
        yield
        return
    kind, _ = _counted()
    _set_limit(kind, resource.getrlimit(kind)[1])
    try:
        yield
    finally:
        limit_memory(int(memory_mb))


def base_rss_mb() -> float:
    """`rss_mb` when the limit was set last."""
    return _state["base_rss_mb"] or 0.0


def rss_mb() -> float:
    """The resident size now, in MiB, without the files that are mapped (weights above all) where the system tells."""
    return (_status_bytes("RssAnon") or _status_bytes("VmRSS")) / (1 << 20)


def peak_rss_mb() -> float:
    """The largest resident size this process ever had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / (1 << 10)


def _counted() -> tuple[int, int]:
    """The kind of limit this system offers, and how many bytes of it are used."""
    data = _status_bytes("VmData")
    return (resource.RLIMIT_DATA, data) if data else (resource.RLIMIT_AS, int(peak_rss_mb()) << 20)


def _set_limit(kind: int, limit: int) -> None:
    try:
        resource.setrlimit(kind, (limit, resource.getrlimit(kind)[1]))
    except (ValueError, OSError) as error:
        print(f"no memory limit on this system: {error}", file=sys.stderr)  # noqa: T201 - worker's own log


def _status_bytes(name: str) -> int:
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - hot: after each task
            for line in status:
                if line.startswith(name + ":"):
                    return int(line.split()[1]) << 10
    except OSError:
        return 0
    return 0
