"""Where a long comparison puts what it has finished, so that it need not be done again after a kill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[np.generic]]


class Checkpoints(Protocol):
    """Finished parts by name: columns of one length (of numbers, or of rows of numbers) and a few facts."""

    def load(self, name: str) -> tuple[Columns, Mapping[str, Any]] | None:
        """The part, or None where it is not finished."""

    def save(self, name: str, columns: Columns, facts: Mapping[str, Any]) -> None:
        """Keep a finished part."""


class Forgetful:
    """Keeps nothing."""

    def load(self, name: str) -> None:
        """See `Checkpoints`."""

    def save(self, name: str, columns: Columns, facts: Mapping[str, Any]) -> None:
        """See `Checkpoints`."""
