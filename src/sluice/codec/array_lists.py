"""Lists of arrays as bytes: written as pickle, safetensors or npz, and read again without running anything.

A pickle is a program. None is ever run here: of those that hold a list of arrays, and nothing else, the few
instructions are followed; every other one is refused before it does anything.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sluice.errors import UnreadableError

Array = NDArray[Any]
Form = Literal["pickle", "safetensors", "npz"]

MOST_BYTES = 1 << 30
"""Bytes of one list that are read; 512 tokens of T5-11B are 1 MB in half precision."""
MOST_ARRAYS = 100_000

_NUMBERS = "fiub"
_NAMES = {"<f2": "F16", "<f4": "F32", "<f8": "F64", "<i4": "I32", "<i8": "I64", "|u1": "U8"}
_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"  # an empty array, to be filled


def encoded(arrays: Sequence[Array], form: Form) -> bytes:
    """The list as bytes; equal lists give equal bytes, whatever the version of numpy.

    `pickle` (protocol 4) loads as a Python list of arrays. `safetensors` and `npz` name them `000000`, `000001`, ….
    """
    return {"pickle": _pickled, "safetensors": _safetensors, "npz": _npz}[form](arrays)


def decoded(data: bytes, form: Form) -> list[Array]:
    """The list in these bytes. `UnreadableError` for anything else than a list of arrays of numbers."""
    if len(data) > MOST_BYTES:
        raise UnreadableError("too many bytes", f"{len(data):,}, more than {MOST_BYTES:,}")
    try:
        return {"pickle": _unpickled, "safetensors": _from_safetensors, "npz": _from_npz}[form](data)
    except UnreadableError:
        raise
    except Exception as error:  # whatever damaged bytes make the parsers raise
        raise UnreadableError("not a list of arrays", f"{type(error).__name__}: {error}") from error


def _plain(array: Array) -> Array:
    """The array little-endian and in C order."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def _pickled(arrays: Sequence[Array]) -> bytes:
    """Written by hand: what numpy itself writes names modules that an older numpy does not have."""
    out = [b"\x80\x04]("]
    for array in map(_plain, arrays):
        kind = array.dtype.str[1:].encode()
        body = array.tobytes()
        out += [_ARRAY, b"(K\x01(", *(b"J" + struct.pack("<i", n) for n in array.shape), b"t"]
        out += [b"cnumpy\ndtype\nX", struct.pack("<I", len(kind)), kind, b"\x89\x88\x87R"]
        order = array.dtype.str[:1].encode()
        out += [b"(K\x03X\x01\x00\x00\x00", order, b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"]
        out += [b"\x89", b"B" + struct.pack("<I", len(body)), body, b"tb"]
    return b"".join([*out, b"e."])


def _safetensors(arrays: Sequence[Array]) -> bytes:
    """As https://github.com/huggingface/safetensors describes it: the header's length, the header, the bytes."""
    header, at, bodies = {}, 0, []
    for number, array in enumerate(map(_plain, arrays)):
        body = array.tobytes()
        place = [at, at + len(body)]
        header[f"{number:06d}"] = {
            "dtype": _NAMES[array.dtype.str],
            "shape": list(array.shape),
            "data_offsets": place,
        }
        at += len(body)
        bodies.append(body)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *bodies])


def _npz(arrays: Sequence[Array]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **{f"{number:06d}": _plain(array) for number, array in enumerate(arrays)})  # type: ignore[arg-type]
    return file.getvalue()


def _from_safetensors(data: bytes) -> list[Array]:
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    kinds = {name: np.dtype(kind) for kind, name in _NAMES.items()}
    found = []
    for _, told in sorted(header.items()):
        begin, end = (8 + length + max(0, place) for place in told["data_offsets"])
        found.append(_made(kinds[told["dtype"]], told["shape"], data[begin:end], "C"))
    return found


def _from_npz(data: bytes) -> list[Array]:
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        listed = whole.infolist()
        if len(listed) > MOST_ARRAYS or sum(entry.file_size for entry in listed) > MOST_BYTES:
            raise UnreadableError("too many bytes", f"{len(listed):,} arrays")
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        arrays = [found[name] for name in sorted(found.files)]
    if any(array.dtype.kind not in _NUMBERS for array in arrays):
        raise UnreadableError("not a list of arrays", "arrays of something else than numbers")
    return arrays


def _made(kind: np.dtype[Any], shape: Sequence[Any], body: bytes, order: Literal["C", "F"]) -> Array:
    """An array of these bytes, exactly as many as it needs."""
    if kind.kind not in _NUMBERS:
        raise UnreadableError("not a list of arrays", f"values of the type {kind}")
    if not all(isinstance(n, int) and n >= 0 for n in shape) or len(shape) > 32:
        raise UnreadableError("not a list of arrays", f"the shape {shape}")
    if math.prod(shape) * kind.itemsize != len(body):
        raise UnreadableError("not a list of arrays", f"{len(body)} bytes for the shape {shape}")
    return np.frombuffer(body, kind).reshape(tuple(shape), order=order)


_MADE_OF = """
PROTO FRAME STOP MARK EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 NONE NEWTRUE NEWFALSE
BININT BININT1 BININT2 LONG1 SHORT_BINBYTES BINBYTES BINBYTES8 BYTEARRAY8 SHORT_BINUNICODE BINUNICODE GLOBAL
STACK_GLOBAL REDUCE BUILD MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET
"""
_STEPS = frozenset(_MADE_OF.split())
"""Instructions of a pickle that a list of arrays is made of."""


class _Kind:
    """Stands for `numpy.dtype` while a pickle is read."""

    def __init__(self, name: object, *_: object) -> None:
        if not isinstance(name, str) or len(name) > 3 or name[:1] not in _NUMBERS:
            raise UnreadableError("not a list of arrays", f"values of the type {name!r}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Given:
    """Stands for an array while a pickle is read: numpy itself is asked for nothing before all is known."""

    array: Array | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, body = state
        self.array = _filled(body, kind, shape, "F" if fortran else "C")


def _reconstruct(*_: object) -> _Given:
    return _Given()


def _from_buffer(body: object, kind: object, shape: object, order: object) -> _Given:
    found = _Given()
    found.array = _filled(body, kind, shape, order)
    return found


def _filled(body: object, kind: object, shape: object, order: object) -> Array:
    if not isinstance(body, bytes | bytearray) or not isinstance(kind, _Kind) or not isinstance(shape, tuple):
        raise UnreadableError("not a list of arrays", "an array of something else than numbers")
    return _made(kind.dtype, shape, bytes(body), "F" if order == "F" else "C")


_NAMED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Given,
    ("numpy", "dtype"): _Kind,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}
"""All that a pickle may name, and what it gets instead."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What stands for this name; `UnreadableError` for every name but those of arrays."""
        found = _NAMED.get((module, name))
        if found is None:
            raise UnreadableError("hostile pickle", f"it names {module}.{name}")
        return found


def _unpickled(data: bytes) -> list[Array]:
    for number, (step, argument, _) in enumerate(pickletools.genops(data)):
        if step.name not in _STEPS:
            raise UnreadableError("hostile pickle", f"it does {step.name}")
        if (
            step.name == "LONG_BINPUT" and (argument or 0) > number
        ):  # the memory for as many would be taken at once
            raise UnreadableError("hostile pickle", f"it remembers {argument:,} things")
    found = _Unpickler(io.BytesIO(data)).load()
    if not isinstance(found, list) or len(found) > MOST_ARRAYS:
        raise UnreadableError("not a list of arrays", f"a {type(found).__name__}")
    arrays = [each.array if isinstance(each, _Given) else None for each in found]
    if any(array is None for array in arrays):
        raise UnreadableError("not a list of arrays", "other things in the list")
    return [array for array in arrays if array is not None]
