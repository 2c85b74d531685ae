"""What kinds of characters a text is made of: its code points, and tables of those that count as something."""

from __future__ import annotations

import string
import unicodedata
from functools import cache, lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sluice.operator import feature

Codes = Annotated[NDArray[np.uint8 | np.uint32], "code points in order: uint8 if all are ASCII, else uint32"]
Kinds = Annotated[NDArray[np.uint8], "the sum of what each code point is: ALPHANUMERIC, SPECIAL, GAP"]

ALPHANUMERIC, SPECIAL, GAP = 1, 2, 4
"""A letter or digit, as `str.isalnum` tells it; a special character; one of those at which words part."""

PLANES = 1 << 18
"""Code points that tables know; beyond them (plane 3) Unicode has no letters, digits or symbols."""

_ASCII_SPECIAL = frozenset(string.punctuation + string.digits + string.whitespace)
_EMOJI_PARTS = frozenset("\u200d\ufe0e\ufe0f\u20e3")


@feature(scope="text", version=1, cost="header")
def codes(text: str) -> Codes:
    """The text's code points, lone surrogates included."""
    if text.isascii():
        return np.frombuffer(text.encode(), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


@feature(scope="text", version=1, cost="header")
def kinds(codes: Codes) -> Kinds:
    """What each code point counts as."""
    return _kinds().take(codes, mode="clip")


def count(kinds: Kinds, kind: int) -> int:
    """How many of the code points are of a kind."""
    return int(np.count_nonzero(kinds & kind))


@lru_cache(maxsize=4096)
def is_special(character: str) -> bool:
    """Whether a character is special: punctuation, ASCII digit, white space, symbol or emoji.

    By Unicode: ASCII punctuation, digits and white space; the categories P* (punctuation), S* (symbols, which
    hold the emoji) and Z* (separators); the joiner, variation selectors and keycap that emoji are composed
    with. Digits of other scripts and full-width digits are not special. A list made by hand, as others use,
    can differ in rare symbols.
    """
    if character in _ASCII_SPECIAL or character in _EMOJI_PARTS:
        return True
    return unicodedata.category(character)[0] in "PSZ"


@cache
def _kinds() -> Kinds:
    known = map(chr, range(PLANES))
    of_each = (c.isalnum() * ALPHANUMERIC + is_special.__wrapped__(c) * SPECIAL for c in known)
    table = np.fromiter(of_each, np.uint8, PLANES)
    table[[ord(" "), ord("\n"), ord("\t")]] |= GAP
    return table
