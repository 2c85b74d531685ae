"""Rearranges the bits of hashes so that every block of the index is worth as much as its width promises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Words = list[NDArray[np.uint64]]  # the k-th 64 bits of every hash

ROWS = 1 << 16  # hashes unpacked to one byte a bit at a time


def varying_bits(hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], float]:
    """Return the bits that are not the same in all `hashes` [n, words], the most varied first.

    Constant bits add nothing to any distance. Also returns the mean chance, over the varying bits, that two
    hashes have the same bit (0.5 where ones and zeros are balanced).
    """
    ones = np.zeros(hashes.shape[1] * 64, dtype=np.int64)
    for start in range(0, len(hashes), ROWS):
        ones += _unpack(hashes[start : start + ROWS]).sum(axis=0, dtype=np.int64)
    share = ones / max(len(hashes), 1)
    match = share**2 + (1 - share) ** 2
    ranked = np.argsort(match, kind="stable")
    varying = ranked[(ones[ranked] > 0) & (ones[ranked] < len(hashes))]
    return varying, float(match[varying].mean()) if len(varying) else 1.0


def arrange(hashes: NDArray[np.uint64], bits: NDArray[np.int64], widths: Sequence[int]) -> Words:
    """Return the `bits` of each hash, dealt to consecutive blocks of `widths`; what is left over comes last.

    Dealing in turn gives each block its share of the varied bits and parts neighbouring bits, which are
    correlated in difference hashes.
    """
    hands: list[list[int]] = [[] for _ in widths]
    left = [int(bit) for bit in reversed(bits)]
    while any(len(hand) < width for hand, width in zip(hands, widths, strict=True)):
        for hand, width in zip(hands, widths, strict=True):
            if len(hand) < width:
                hand.append(left.pop())
    order = np.array([bit for hand in hands for bit in hand] + left[::-1], dtype=np.int64)
    words = -(-max(len(order), 1) // 64)
    arranged = np.zeros((words, len(hashes)), dtype=np.uint64)
    for start in range(0, len(hashes), ROWS):
        part = hashes[start : start + ROWS]
        unpacked = np.zeros((len(part), words * 64), dtype=np.uint8)
        unpacked[:, : len(order)] = _unpack(part)[:, order]
        packed = np.packbits(unpacked, axis=1, bitorder="little").view("<u8")
        arranged[:, start : start + ROWS] = packed.T
    return list(arranged)


def read_bits(words: Words, offset: int, width: int) -> NDArray[np.int64]:
    """Return bits [offset, offset + width) of every hash as a number; `width` is at most 63."""
    word, shift = divmod(offset, 64)
    value = words[word] >> np.uint64(shift)
    if shift + width > 64:
        value |= words[word + 1] << np.uint64(64 - shift)
    return (value & np.uint64((1 << width) - 1)).astype(np.int64)


def bit_range(words: int, offset: int, width: int) -> list[np.uint64]:
    """Return, for each word, the mask of the bits in [offset, offset + width)."""
    mask = ((1 << width) - 1) << offset
    return [np.uint64((mask >> (64 * word)) & (2**64 - 1)) for word in range(words)]


def _unpack(hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    little = np.ascontiguousarray(hashes, dtype="<u8")
    return np.unpackbits(little.view(np.uint8), axis=1, bitorder="little")
