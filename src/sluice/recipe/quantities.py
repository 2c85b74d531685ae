"""Reads the two quantities that people write with a unit: sizes (`1GB`) and shares (`1%`)."""

from __future__ import annotations

import re

from pydantic_core import PydanticCustomError

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_SIZE = re.compile(r"\s*(\d[\d_]*(?:\.\d+)?)\s*([A-Za-z]*)\s*")
_SHARE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")


def wrong(what: str, fix: str = "") -> PydanticCustomError:
    """A validation error in our own words, with what to do."""
    return PydanticCustomError("sluice", "{what}", {"what": what, "fix": fix})


def parse_size(value: object) -> int:
    """Bytes from `1GB`, `500 MB`, `1GiB` (powers of 1024) or a whole number of bytes; at least 1."""
    fix = "write it as 1GB, 500MB, 1GiB or a number of bytes"
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise wrong(f"{value!r} is not a size", fix)
    match = _SIZE.fullmatch(str(value))
    if match is None or match[2].upper() not in _UNITS:
        raise wrong(f"{value!r} is not a size", fix)
    size = round(float(match[1].replace("_", "")) * _UNITS[match[2].upper()])
    if size < 1:
        raise wrong(f"{value!r} is less than a byte", fix)
    return size


def print_size(size_bytes: int) -> str | int:
    """The shortest exact way to write a size: `1GB`, `1GiB`, or the number of bytes."""
    for unit in ("TB", "TiB", "GB", "GiB", "MB", "MiB", "KB", "KiB"):
        factor = _UNITS[unit.upper()]
        if size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return size_bytes


def parse_share(value: object) -> float:
    """A share between 0 and 1 from `1%`, `0.01` or 1 (which is all)."""
    fix = "write it as 1% or 0.01"
    if isinstance(value, str):
        match = _SHARE.fullmatch(value)
        if match is None:
            raise wrong(f"{value!r} is not a share", fix)
        share = float(match[1]) / 100
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(f"{value!r} is not a share", fix)
    else:
        share = float(value)
    if not 0 <= share <= 1:
        hint = f"{value:g}% is written {value:g}%" if isinstance(value, int | float) and value <= 100 else fix
        raise wrong(f"{value!r} is not between 0 and 1", hint)
    return share
