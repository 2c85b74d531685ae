"""Lets an operator that waits for the outside world tell its supervisor that it does not hang."""

from __future__ import annotations

from collections.abc import MutableSequence
from time import monotonic_ns

_SINCE = 2

_beat: MutableSequence[int] | None = None


def follow(beat: MutableSequence[int]) -> None:
    """From now on `waiting` speaks through this beat (see `Program`)."""
    global _beat
    _beat = beat


def waiting() -> None:
    """Start the clock of the call under way anew.

    For operators with time limits of their own (a reply of an endpoint, a slot of a rate limit): each wait
    must end by itself, since nobody else ends it then.
    """
    if _beat is not None:
        _beat[_SINCE] = monotonic_ns()
