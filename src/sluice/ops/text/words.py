"""The words of a text, as the operators on texts count them."""

import re
import string
import unicodedata
from functools import lru_cache
from typing import Annotated

from sluice.operator import feature

Words = Annotated[list[str], "refined words, case kept"]

_SPLIT = re.compile(r"[ \n\t]+")
_ASCII_SPECIAL = frozenset(string.punctuation + string.digits + string.whitespace)
_EMOJI_PARTS = frozenset("\u200d\ufe0e\ufe0f\u20e3")


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


def stripped(word: str) -> str:
    """The word without special characters at its beginning and end."""
    first, last = 0, len(word)
    while first < last and is_special(word[first]):
        first += 1
    while last > first and is_special(word[last - 1]):
        last -= 1
    return word[first:last]


@feature(scope="text", version=1, cost="header")
def words(text: str) -> Words:
    """Split at spaces, line feeds and tabs; special characters stripped from both ends; empties dropped."""
    return [word for word in map(stripped, _SPLIT.split(text)) if word]
