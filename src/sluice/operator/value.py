"""Checks what an operator returns: turns it into what can be stored, or says why there is nothing to."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sluice.errors import Declined
from sluice.operator.spec import ANY_SIZE, Output
from sluice.sample import Item, Sample

_INT64 = range(-(1 << 63), 1 << 63)
_UINT64 = range(1 << 64)


def storable(value: Any, output: Output) -> Any:
    """The value as its column's Arrow type takes it: plain Python, vectors as float32.

    Raises Declined for None and for what is not finite (DuckDB holds NaN ≥ 100), TypeError or ValueError for
    a value that is not what the operator declared.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        raise Declined("no value")
    return _BY_KIND[output.kind](value, output)


def _number(value: Any, output: Output) -> float | int:
    if type(value) is float or (type(value) is int and output.python is float):
        if not math.isfinite(value):
            raise Declined("not a number")
        if output.python is float:
            return float(value)
    if type(value) is not int or output.python is not int:
        raise _wrong(value, output, output.python.__name__)
    if value not in _INT64:
        raise _wrong(value, output, "a number of 64 bits")
    return value


def _bool(value: Any, output: Output) -> bool:
    if type(value) is not bool:
        raise _wrong(value, output, "bool")
    return value


def _text(value: Any, output: Output) -> str:
    if not isinstance(value, str):
        raise _wrong(value, output, "str")
    if not value.isascii():
        value.encode()  # lone surrogates cannot be stored: UnicodeEncodeError
    return value


def _bits(value: Any, output: Output) -> int | bytes:
    bits = output.field.bits or 0
    if bits == 64:
        if type(value) is not int or value not in _UINT64:
            raise _wrong(value, output, "an int of 64 bits, 0 or more")
        return value
    if not isinstance(value, bytes) or len(value) * 8 != bits:
        raise _wrong(value, output, f"{bits // 8} bytes")
    return value


def _binary(value: Any, output: Output) -> bytes:
    if not isinstance(value, bytes):
        raise _wrong(value, output, "bytes")
    return value


def _vector(value: Any, output: Output) -> np.ndarray[Any, np.dtype[np.float32]]:
    vector = np.asarray(value, dtype=np.float32)
    if vector.ndim != 1 or output.field.size not in (ANY_SIZE, len(vector)):
        raise _wrong(value, output, f"a vector of {output.field.size} numbers")
    if not np.isfinite(vector).all():
        raise Declined("not a number")
    return vector


def _wrong(value: Any, output: Output, wanted: str) -> TypeError:
    shown = f"{value!r:.60}"
    return TypeError(f"{output.name} is declared as {wanted}, but the operator returned {shown}")


def new_version(value: Any, scope: str) -> bytes | str | Item | Sample:
    """What a mapper made: of an item its new bytes, its new text, or the item itself; of a sample a sample.

    Raises Declined for None and TypeError for anything else.
    """
    if value is None:
        raise Declined("no new version")
    if not isinstance(value, Sample if scope == "sample" else bytes | str | Item):
        wanted = "a Sample" if scope == "sample" else "bytes, str or an Item"
        raise TypeError(f"a mapper gives {wanted}, but this one returned {value!r:.60}")
    return value


def children(value: Any) -> tuple[Sample, ...]:
    """What a splitter made, all of it; its own trouble on the way is raised here.

    Raises Declined where there is nothing and TypeError for anything but samples.
    """
    made = () if value is None else tuple(value)
    if not made:
        raise Declined("made no samples")
    for child in made:
        if not isinstance(child, Sample):
            raise TypeError(f"a splitter gives Samples, but this one made {child!r:.60}")
    return made


_BY_KIND: dict[str, Callable[[Any, Output], Any]] = {
    "number": _number,
    "bool": _bool,
    "text": _text,
    "bits": _bits,
    "vector": _vector,
    "binary": _binary,
}
