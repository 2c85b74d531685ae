"""GPUs, each given to one program at a time, on the whole machine: by a lock that ends with its holder."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from sluice.errors import MissingError

WAIT_S = 1.0


def devices() -> tuple[str, ...]:
    """The GPUs that we may use: those of CUDA_VISIBLE_DEVICES, else all that `nvidia-smi` lists."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return tuple(part.strip() for part in told.split(",") if part.strip() not in ("", "-1"))
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(str(n) for n, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU "))


@contextmanager
def slots(count: int, given_up: Callable[[], bool] = lambda: False) -> Iterator[tuple[str, ...] | None]:
    """Hold `count` GPUs, waiting for them as long as others hold them; None where none is asked for.

    `MissingError` where this machine has fewer, KeyboardInterrupt once waiting is `given_up`.
    """
    if not count:
        yield None
        return
    known = devices()
    if count > len(known):
        raise MissingError(
            f"a command asks for {count} GPUs, and this machine has {len(known)}",
            fix="lower `gpus`, or set CUDA_VISIBLE_DEVICES to those it may use",
        )
    with ExitStack() as held:
        chosen: list[str] = []
        while len(chosen) < count:
            if given_up():
                raise KeyboardInterrupt  # as a program is ended that runs already
            # All or none: two that each hold half of what both need would wait for ever.
            with ExitStack() as tried:
                chosen = _taken(known, count, tried)
                if len(chosen) == count:
                    held.push(tried.pop_all())
            if len(chosen) < count:
                chosen = []
                time.sleep(WAIT_S)
        yield tuple(chosen)


def _taken(known: tuple[str, ...], count: int, stack: ExitStack) -> list[str]:
    chosen: list[str] = []
    for device in known:
        if len(chosen) == count:
            break
        file = stack.enter_context(_lock_file(device))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        chosen.append(device)
    return chosen


def _lock_file(device: str) -> IO[bytes]:
    folder = Path(tempfile.gettempdir()) / f"sluice-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in device)
    return (folder / f"{name}.lock").open("ab")
