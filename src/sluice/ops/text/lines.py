"""The lines of a text and what is said twice in a list, shared by the operators on lines and paragraphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from sluice.operator import feature

Lines = Annotated[list[str], "lines that are not blank, without white space around them"]


@feature(scope="text", version=1, cost="header")
def lines(text: str) -> Lines:
    """The lines of a text, white space around them and blank lines left out."""
    return [line for line in map(str.strip, text.splitlines()) if line]


def duplicate_shares(parts: Sequence[str]) -> tuple[float, float]:
    """The share of the parts that came before, and the share of the characters in them; 0 where there are none."""
    seen: set[str] = set()
    again = [part for part in parts if part in seen or seen.add(part)]  # type: ignore[func-returns-value]
    characters = sum(map(len, parts))
    return len(again) / max(len(parts), 1), sum(map(len, again)) / max(characters, 1)
