"""The words of a text, as the operators on texts count them."""

from __future__ import annotations

import string
from typing import Annotated

from sluice.operator import feature
from sluice.ops.text.characters import is_special

Words = Annotated[list[str], "refined words, case kept"]
LowercaseWords = Annotated[list[str], "refined words in lower case"]

_ASCII_SPECIAL = string.punctuation + string.digits + string.whitespace


def stripped(word: str) -> str:
    """The word without special characters at its beginning and end."""
    first, last = 0, len(word)
    while first < last and is_special(word[first]):
        first += 1
    while last > first and is_special(word[last - 1]):
        last -= 1
    return word[first:last]


@feature(scope="text", version=2, cost="header")
def words(text: str) -> Words:
    """Split at spaces, line feeds and tabs; special characters stripped from both ends; empties dropped."""
    pieces = text.replace("\n", " ").replace("\t", " ").split(" ")
    # Most pieces are letters alone, and most others ASCII: both are told and stripped without a loop of ours.
    bare = [p if p.isalpha() else p.strip(_ASCII_SPECIAL) if p.isascii() else stripped(p) for p in pieces]
    return list(filter(None, bare))


@feature(scope="text", version=1, cost="header")
def lowercase_words(words: Words) -> LowercaseWords:
    """The refined words in lower case."""
    return [word.lower() for word in words]
