"""Runs the real command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ran:
    """What a command did: its exit code, and what it wrote to standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document that it is."""
        return json.loads(self.out)


def command(*words: str) -> list[str]:
    """The command line of `sluice` with these words."""
    return [sys.executable, "-m", "sluice", *words]


def sluice(*words: str, cwd: Path, **env: str) -> Ran:
    """Run `sluice` with these words in the folder `cwd`."""
    done = subprocess.run(
        command(*words),
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
