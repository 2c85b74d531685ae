"""What a hook is given besides results and settings: its name, its folder, and where to say what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def _silent(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Job:
    """One job of a workflow, as its hook sees it.

    `folder` is its own: files lie there, and a path below it may be a result. It is empty at the start, unless the
    hook `resumes`. `round` counts the repetitions of its phase, from 1. `say` tells a line of progress.
    """

    name: str
    folder: Path
    round: int = 1
    say: Callable[[str], None] = _silent

    @property
    def experiment(self) -> Path:
        """The folder of the whole experiment: paths in tables begin there, so that it can be moved."""
        return self.folder.parents[2]

    def inside(self, path: Path) -> str:
        """A path as tables hold it: relative to the experiment where it lies below it."""
        below = path.is_relative_to(self.experiment)
        return str(path.relative_to(self.experiment) if below else path)
