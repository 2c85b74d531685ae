"""Values that came along with a sample or an item, with the types that they had, and how JSON holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any, TypeGuard

import pyarrow as pa

_INT64 = 1 << 63


class Fields(dict[str, Any]):
    """Values by name that remember the Arrow types of the columns they were read from.

    A plain mapping does where a format has no types of its own (JSON): a column's type is then that of its
    values. `types` may name columns that have no value here. Equal to a dict of the same values.
    """

    __slots__ = ("types",)

    def __init__(self, values: Mapping[str, Any], types: Mapping[str, pa.DataType]) -> None:
        super().__init__(values)
        self.types = types

    def __reduce__(self) -> tuple[Any, ...]:
        return Fields, (dict(self), self.types)


def types_of(fields: Mapping[str, Any]) -> Mapping[str, pa.DataType]:
    """The Arrow types that these values had; none for values that had none."""
    return fields.types if isinstance(fields, Fields) else {}


def plain(value: Any) -> Any:
    """A value as JSON can hold it: bytes in hexadecimal, times in ISO 8601, everything else as text."""
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value)


def json_value(value: Any) -> Any:
    """A value that strict JSON can hold; NaN and infinities become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): json_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(v) for v in value]
    return value if value is None or isinstance(value, str | int | bool) else plain(value)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that a column of 64 bits can hold; true and false are none."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return -_INT64 <= value < _INT64
    return isinstance(value, float) and math.isfinite(value)


def is_span(value: Any) -> TypeGuard[list[float]]:
    """Whether a value is a span of time: a list of two numbers."""
    return isinstance(value, list) and len(value) == 2 and all(is_number(each) for each in value)
