"""What kinds of characters a text is made of: its code points, and tables of those that count as something."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sluice.operator import feature

Codes = Annotated[NDArray[np.uint8 | np.uint32], "code points in order: uint8 if all are ASCII, else uint32"]
Table = NDArray[np.bool_]

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


def count(codes: Codes, table: Table) -> int:
    """How many of the code points a table holds."""
    return int(np.count_nonzero(table.take(codes, mode="clip")))


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
def special() -> Table:
    """The table of special characters."""
    return _table(is_special.__wrapped__)


@cache
def alphanumeric() -> Table:
    """The table of letters and digits, as `str.isalnum` tells them."""
    return _table(str.isalnum)


def _table(belongs: Callable[[str], bool]) -> Table:
    return np.fromiter(map(belongs, map(chr, range(PLANES))), np.bool_, PLANES)
