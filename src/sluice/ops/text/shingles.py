"""The hashes of a text's shingles: runs of words or of characters, the elements by which texts are compared."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Unit = Literal["words", "characters"]

PIECE = 1 << 20
"""Characters hashed at a time, so that a huge text needs some few times its own size and not a hundred."""

_PLANES = 1 << 18  # beyond plane 3 stand no letters and no digits (Unicode 17), only variation selectors
_BREAK = re.compile(r"[\s!-/:-@\[-`{-~、。，！？]")  # some characters that belong to no word
_LETTER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, odd (Knuth, volume 3, section 6.4)
_PART = np.uint64(0xD1342543DE82EF95)  # a multiplier of good spectral quality (Steele and Vigna, 2022)


def shingle_hashes(text: str, size: int, unit: Unit = "words", *, lowercase: bool = True) -> Hashes:
    """The 64-bit hash of every run of `size` words or characters, in order: [max(0, n - size + 1)].

    Words are runs of letters, their marks and digits (Unicode L*, M*, N* of planes 0 to 3), whatever stands
    between them; the characters are those of the words, with one space between two words. `lowercase` takes
    capitals for small letters.
    """
    parts = (_words if unit == "words" else _characters)(text.lower() if lowercase else text)
    count = len(parts) - size + 1
    if count < 1:
        return np.empty(0, np.uint64)
    hashes = parts[:count].copy()
    for place in range(1, size):
        hashes *= _PART
        hashes += parts[place : place + count]
    return mixed(hashes)


def mixed(values: Hashes) -> Hashes:
    """Let every bit depend on all others (the finaliser of SplitMix64: Steele, Lea and Flood, 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _words(text: str) -> Hashes:
    """The hash of each word: its code points as the coefficients of a polynomial modulo 2^64, then mixed."""
    found = [np.empty(0, np.uint64)]
    for codes, inside in _pieces(text):
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        if not len(edges):
            continue
        lengths = edges[1::2] - edges[::2]
        begins = np.cumsum(lengths) - lengths
        letters = codes[inside].astype(np.uint64)
        place = np.arange(len(letters)) - np.repeat(begins, lengths)
        letters *= _powers(int(lengths.max())).take(place)
        found.append(mixed(np.add.reduceat(letters, begins)))
    return np.concatenate(found)


def _characters(text: str) -> Hashes:
    """The code point of each character of the words, and of one space between two of them."""
    found = [np.empty(0, np.uint64)]
    for codes, inside in _pieces(text):
        kept = inside[:-1] | inside[1:]  # a word's characters, and the one before each word
        found.append(np.where(inside, codes, ord(" "))[:-1][kept].astype(np.uint64))
    return np.concatenate(found)[1:]  # the first is the one before the first word


def _pieces(text: str) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.bool_]]]:
    """The code points of a text, and which of them belong to words, some `PIECE` at a time.

    A piece begins and ends with what belongs to none (a zero is put there), and no word lies in two pieces.
    """
    start = 0
    while start < len(text):
        found = _BREAK.search(text, start + PIECE)
        stop = found.start() if found else len(text)
        codes = np.frombuffer(f"\0{text[start:stop]}\0".encode("utf-32-le", "surrogatepass"), "<u4")
        yield codes, _in_words().take(codes, mode="clip")
        start = stop


@cache
def _in_words() -> NDArray[np.bool_]:
    """For each code point whether it belongs to a word; the last, which does not, stands for all beyond."""
    kinds = (unicodedata.category(chr(code))[0] in "LMN" for code in range(_PLANES))
    return np.fromiter(kinds, np.bool_, _PLANES)


def _powers(count: int) -> Hashes:
    powers = np.full(count, _LETTER)
    powers[0] = 1
    return np.multiply.accumulate(powers)
