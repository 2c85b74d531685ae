"""Operators declared for these tests, at the top of a module as pickling asks."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np

from sluice.errors import Declined, UnreadableError
from sluice.operator import Field, Registry, feature, measure

CALLS: dict[str, int] = {}
"""How often each of the operators below was called."""


def called(name: str) -> None:
    CALLS[name] = CALLS.get(name, 0) + 1


@feature(scope="text", version=1, cost="header")
def letters(text: str) -> list[str]:
    """The characters of the text; declines where there are none."""
    called("letters")
    if text == "unreadable":
        raise UnreadableError("garbled", "cannot be read")
    if not text:
        raise Declined("no letters")
    return list(text)


@measure(version=1, cost="header")
def text_letters(letters: list[str]) -> Annotated[int, Field(unit="letters", ge=0)]:
    """How many letters."""
    called("text_letters")
    return len(letters)


@measure(version=1, cost="header")
def text_vowels(letters: list[str], *, also_y: bool = False) -> Annotated[int, Field(unit="letters", ge=0)]:
    """How many vowels; `also_y` counts y."""
    called("text_vowels")
    return sum(letter in ("aeiouy" if also_y else "aeiou") for letter in letters)


@measure(version=1, cost="header")
def text_vowel_share(text_letters: int, text_vowels: int) -> Annotated[float, Field(unit="share")]:
    """Vowels by letters: needs two measures."""
    return text_vowels / text_letters


RETURNS: dict[str, Any] = {
    "nan": float("nan"),
    "inf": float("inf"),
    "none": None,
    "int": 3,
    "numpy": np.float32(0.5),
    "text": "a text",
    "bool": True,
}


@measure(version=1, cost="header")
def text_odd(text: str) -> Annotated[float | None, Field(unit="anything")]:
    """Returns or raises what its text says."""
    if text == "raise":
        raise RuntimeError("broken")
    if text == "memory":
        raise MemoryError("too much")
    return RETURNS.get(text, 1.0)


class Span(NamedTuple):
    """First and last letter's place in the alphabet; null for what is no letter."""

    first: Annotated[float, Field(unit="place")]
    last: Annotated[float | None, Field(unit="place")]


@measure(version=1, cost="header")
def text_span(letters: list[str]) -> Span:
    """Where the first and the last letter stand."""
    places = [float(ord(c) - 96) if c.isalpha() else float("nan") for c in letters]
    return Span(places[0], places[-1])


@measure(version=1, cost="header")
def text_batched(letters: list[list[str]]) -> list[Annotated[int, Field(unit="letters")]]:
    """Length, for a batch at once; a batch with a z raises."""
    called(f"text_batched of {len(letters)}")
    if any("z" in entry for entry in letters):
        raise ValueError("z")
    return [len(entry) for entry in letters]


@measure(version=1, cost="header")
def sample_longest(text_letters: list[int | None]) -> Annotated[int, Field(unit="letters")]:
    """The most letters of any text of the sample."""
    return max((n for n in text_letters if n is not None), default=0)


@measure(version=1, cost="header")
def sample_widest(text_span: list[Span | None]) -> Annotated[float, Field(unit="places")]:
    """The widest span of the sample's texts: takes a measure of several columns whole."""
    return max((s[1] - s[0] for s in text_span if s is not None and s[1] is not None), default=0.0)


@measure(version=1, cost="header")
class text_opened:  # noqa: N801 - an operator's name is its class's
    """Length plus `add`, which it loads when opened."""

    def __init__(self, *, add: int = 1) -> None:
        self.add = add

    def open(self) -> None:
        called("open")
        self.loaded = self.add

    def __call__(self, text: str) -> Annotated[int, Field(unit="letters")]:
        return len(text) + self.loaded


@measure(version=1, cost="header", scope="image")
def image_view(media: Any) -> Annotated[int, Field(unit="bytes")]:
    """Reads through the view itself."""
    return len(media.read())


def registered() -> Registry:
    """A registry of the operators above alone."""
    return Registry(v.spec for v in globals().values() if hasattr(v, "spec"))
