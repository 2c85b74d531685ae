"""Lets what takes its time tell its supervisor that it does not hang, and which sample is under way."""

from __future__ import annotations

from collections.abc import MutableSequence
from time import monotonic_ns

_ROW, _STEP, _SINCE = 0, 1, 2

_beat: MutableSequence[int] | None = None


def follow(beat: MutableSequence[int]) -> None:
    """From now on `waiting` and `at` speak through this beat (see `Program`)."""
    global _beat
    _beat = beat


def waiting() -> None:
    """Start the clock of the call under way anew.

    For operators with time limits of their own (a reply of an endpoint, a slot of a rate limit): each wait
    must end by itself, since nobody else ends it then.
    """
    if _beat is not None:
        _beat[_SINCE] = monotonic_ns()


def at(row: int, step: int, more_s: float = 0.0) -> None:
    """A sample is under way from now on: it is to blame if the process dies, or if it takes longer than it may.

    It may take `more_s` seconds more than a sample may otherwise.
    """
    if _beat is not None:
        _beat[_ROW], _beat[_STEP], _beat[_SINCE] = row, step, monotonic_ns() + int(more_s * 1e9)
