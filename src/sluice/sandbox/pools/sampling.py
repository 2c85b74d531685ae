"""Draws samples by a seeded hash of their ids: the same ones each time, and more of them when a pool may grow."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from sluice.errors import UsageError

Keys = NDArray[np.uint64]

_ID_DIGITS, _USED_DIGITS = 32, 16  # xxh3-128 in hexadecimal, of which 64 bits are plenty
_AT_ONCE = 1 << 20


def draw_keys(ids: pa.Array, seed: int, stream: str = "") -> Keys:
    """A number for each id, as good as drawn at random, that depends on the id, the seed and the stream alone.

    `ids` are the ids of samples (32 hexadecimal digits). Streams are independent of each other. The numbers are the
    ids' last 64 bits, mixed with the seed by the finaliser of SplitMix64 (Steele, Lea and Flood 2014), which is a
    bijection: two ids that differ there never tie.
    """
    mixer = np.uint64(xxhash.xxh3_64_intdigest(f"{seed}/{stream}".encode()))
    found = np.empty(len(ids), np.uint64)
    for start in range(0, len(ids), _AT_ONCE):
        part = ids.slice(start, _AT_ONCE)
        found[start : start + len(part)] = _mixed(_last_bits(part) ^ mixer)
    return found


def drawn(keys: Keys, among: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The `size` members of `among` (positions in `keys`) with the lowest keys, in ascending order of position.

    All of `among` where it has no more. A smaller draw is a part of any larger one.
    """
    if len(among) <= size:
        return np.sort(among)
    lowest = np.argpartition(keys[among], size - 1)[:size] if size else np.empty(0, np.int64)
    return np.sort(among[lowest])


def _last_bits(ids: pa.Array) -> Keys:
    """The last 64 bits of ids in hexadecimal."""
    wide = ids.cast(pa.binary())
    try:
        flat = wide.cast(pa.binary(_ID_DIGITS))
    except pa.ArrowInvalid:
        flat = None
    if flat is None or flat.null_count:
        raise UsageError("pools are drawn by the ids of samples, which are 32 hexadecimal digits each")
    raw = np.frombuffer(flat.buffers()[1], np.uint8)[
        flat.offset * _ID_DIGITS : (flat.offset + len(flat)) * _ID_DIGITS
    ]
    digits = _VALUES[raw.reshape(-1, _ID_DIGITS)[:, -_USED_DIGITS:]]
    if (digits > 15).any():
        raise UsageError("pools are drawn by the ids of samples, which are 32 hexadecimal digits each")
    octets = (digits[:, ::2] << 4) | digits[:, 1::2]
    return octets.view(">u8").ravel().astype(np.uint64)


def _mixed(values: Keys) -> Keys:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


_VALUES = np.full(256, 255, np.uint8)
_VALUES[[ord(c) for c in "0123456789abcdef"]] = np.arange(16)
