"""The values of one measure over all samples, as thresholds are chosen by them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sluice.errors import UsageError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """One measure.

    `values` are all finite ones, of items where samples have several. `least` and `greatest` are those of each
    sample's items, NaN where a rule about all of them would be null: a value is missing, or there is no item.
    """

    name: str
    values: Array
    least: Array
    greatest: Array

    @classmethod
    def of(cls, name: str, column: pa.ChunkedArray | pa.Array) -> Measured:
        """From a column of numbers, or of lists of them; `UsageError` where it holds neither."""
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        kind = array.type
        listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        inner = kind.value_type if listed else kind
        if not (pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_null(inner)):
            raise UsageError(
                f"`{name}` holds {kind} and has no threshold", fix="name measures that are numbers"
            )
        if not listed:
            numbers = _numbers(array)
            return cls(name, numbers[np.isfinite(numbers)], numbers, numbers)
        numbers, owners = _numbers(pc.list_flatten(array)), np.asarray(pc.list_parent_indices(array))
        least, greatest = np.full(len(array), np.inf), np.full(len(array), -np.inf)
        # A NaN wins both: one missing value leaves the sample without an answer.
        with np.errstate(invalid="ignore"):
            np.minimum.at(least, owners, numbers)
            np.maximum.at(greatest, owners, numbers)
        least[np.isinf(least)], greatest[np.isinf(greatest)] = np.nan, np.nan
        return cls(name, numbers[np.isfinite(numbers)], least, greatest)

    @property
    def missing(self) -> int:
        """How many samples have no answer."""
        return int(np.isnan(self.least).sum())

    def kept(self, low: float | None, high: float | None) -> NDArray[np.bool_]:
        """Which samples have all their values from `low` to `high`, both included; None for no bound."""
        found = ~np.isnan(self.least)
        if low is not None:
            found &= self.least >= low
        if high is not None:
            found &= self.greatest <= high
        return found

    def take(self, chosen: NDArray[np.bool_]) -> Measured:
        """The samples chosen; `values` stay those of all."""
        return replace(self, least=self.least[chosen], greatest=self.greatest[chosen])


def _numbers(array: pa.Array) -> Array:
    """As float64, with NaN for what is missing or infinite, as rules take such values."""
    numbers: Array = pc.cast(array, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)
