"""Finds the name someone probably meant, so that every error about a name can say it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like `name`, or "" when none is like it. Ties go to the first in order."""
    lower = {str(candidate).lower(): str(candidate) for candidate in sorted(known, reverse=True)}
    # 0.6 is difflib's own cutoff: one or two slips in a short word, a swapped part in a long one.
    found = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.6)
    return lower[found[0]] if found else ""


def did_you_mean(name: str, known: Iterable[str], what: str = "known") -> str:
    """A fix for an unknown name: the nearest known one, or all of them where there are few."""
    names = sorted(known)
    near = nearest(name, names)
    if near:
        return f"did you mean `{near}`?"
    if not names:
        return f"nothing is {what} here"
    shown = ", ".join(names[:12])
    return f"{what}: {shown}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")
