"""Operators that break on the samples whose bytes end in a deed's name, each in its own way; a plug-in for tests.

Pictures may carry such a trailer: decoders stop at the end of the picture and do not see it.
"""

import ctypes
import os
import zlib
from collections.abc import Callable
from typing import Annotated

from sluice.operator import Field, measure


def _raise() -> None:
    raise ZeroDivisionError("a bug in an operator")


def _hang() -> None:
    # Holds the interpreter lock, as a native loop would: no thread of the worker can run.
    ctypes.PyDLL(None).sleep(3600)


def _hoard() -> None:
    bytearray(64 << 30)


def _hoard_slowly() -> None:
    kept = []
    while True:
        kept.append(bytearray(16 << 20))


def _segfault() -> None:
    ctypes.string_at(0)


DEEDS: dict[bytes, Callable[[], None]] = {
    b"RAISE": _raise,
    b"HANG": _hang,
    b"HOARD": _hoard,
    b"GROW": _hoard_slowly,
    b"SEGV": _segfault,
    b"ABORT": os.abort,
    b"LEAVE": lambda: os._exit(9),
}


def trailer(encoded: bytes) -> bytes:
    """What follows the last NUL byte, if that is short: `picture + b"\\0HANG"`."""
    return encoded[-12:].rpartition(b"\0")[2]


def _do(encoded: bytes, mark: bytes) -> None:
    deed = DEEDS.get(trailer(encoded).removeprefix(mark))
    if deed is not None and trailer(encoded).startswith(mark):
        deed()


@measure(version=1, cost="decode")
def image_fragile(encoded: bytes) -> Annotated[int, Field(unit="bytes", ge=0)]:
    """The number of bytes; breaks on a trailer `one:DEED`."""
    _do(encoded, b"one:")
    return len(encoded)


@measure(version=1, cost="model")
def image_fragile_score(
    encoded: list[bytes], *, salt: int = 0
) -> list[Annotated[float, Field(unit="score", ge=0, le=1)]]:
    """A score for each of a batch; the whole batch breaks on a trailer `all:DEED` of one."""
    for data in encoded:
        _do(data, b"all:")
    return [zlib.crc32(data, salt) / 0xFFFFFFFF for data in encoded]
