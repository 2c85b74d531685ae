"""What lies between two shots of a video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Transition:
    """From one shot to the next: the first of its frames that is not of the first shot alone, and the first that is of
    the next alone, in seconds of the source (a cut has both at once); of what kind, and how sure, 0 to 1.
    """

    kind: Literal["cut", "gradual"]
    start_s: float
    end_s: float
    score: float
