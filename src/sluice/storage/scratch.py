"""Temporary folders that a killed process does not leave behind for good."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """A folder for temporary files on this machine, gone at the end; its name begins with `purpose`.

    A process that is killed leaves its folder; the next one to ask for the same purpose removes it. A folder whose
    process lives is held by a lock, which the kernel lets go of when that process dies, and stays.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{purpose}-*"):
        _remove_abandoned(left)
    folder, held = _made(purpose)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _made(purpose: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-"))
        with suppress(FileNotFoundError):  # another process was quicker than our lock, and removed it
            held = _opened(folder)
            with suppress(OSError):  # a file system without locks: nothing is removed there
                fcntl.flock(held, fcntl.LOCK_EX)
            if folder.exists():
                return folder, held
            os.close(held)


def _remove_abandoned(folder: Path) -> None:
    with suppress(OSError):  # held, gone, or not ours to remove: it is left alone
        held = _opened(folder)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(held)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
