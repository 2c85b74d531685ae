"""Stands between Sluice and a program: ends all of it when Sluice dies, and accounts for what it used.

Run as `python -I -S warden.py REPORT_FD program …`. Standard input is a pipe from Sluice; its end means that Sluice
is gone, however it went, and the program's whole process group is killed: a training run whose experiment was
killed must not go on writing beside its successor. A line on it asks for the same, gently first.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time

GRACE_S = 10.0
"""How long a program has to end by itself after SIGTERM."""


def main() -> int:
    """Run the program; its exit code, negative for a signal, and what it used go to the report."""
    report, argv = int(sys.argv[1]), sys.argv[2:]
    started = time.monotonic()
    try:
        program = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        _tell(report, {"missing": f"{error.strerror}: {argv[0]}"})
        return 0
    _wait(program)
    _end(program, signal.SIGKILL)  # children that it left behind
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    scale = 1 if sys.platform == "darwin" else 1024
    _tell(
        report,
        {
            "code": program.returncode,
            "seconds": time.monotonic() - started,
            "cpu_s": used.ru_utime + used.ru_stime,
            "peak_memory_bytes": used.ru_maxrss * scale,
        },
    )
    return 0


def _wait(program: subprocess.Popen[bytes]) -> None:
    ended = _ended_fd(program)
    while program.poll() is None:
        ready, _, _ = select.select([0, *ended], [], [], None if ended else 0.2)
        if 0 in ready:
            gentle = bool(os.read(0, 1))
            if gentle:
                _end(program, signal.SIGTERM)
                _until_ended(program, time.monotonic() + GRACE_S)
            _end(program, signal.SIGKILL)
            program.wait()
        elif ready:
            program.wait()


def _ended_fd(program: subprocess.Popen[bytes]) -> list[int]:
    try:
        return [os.pidfd_open(program.pid)]
    except (AttributeError, OSError):  # not Linux, or an old kernel: look five times a second
        return []


def _until_ended(program: subprocess.Popen[bytes], deadline: float) -> None:
    while program.poll() is None and time.monotonic() < deadline:
        # The group leader may have ended by itself, or Sluice may have gone meanwhile.
        ready, _, _ = select.select([0], [], [], 0.05)
        if ready and not os.read(0, 1):
            return


def _end(program: subprocess.Popen[bytes], how: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, how)


def _tell(report: int, found: dict[str, object]) -> None:
    os.write(report, json.dumps(found).encode())
    os.close(report)


if __name__ == "__main__":
    sys.exit(main())
