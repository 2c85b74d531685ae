"""How the values of a field are spread, counted inside DuckDB so that no run is too large for its report."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sluice.view.scale import Scale
from sluice.view.source import AtomLike, RunLike, cuts, quoted, rows

BINS = 48
"""Bars in a histogram: enough to show a shape, wide enough to be hit by a finger on a phone."""
_ZERO, _NO_VALUE = -1, -2
HEAVY_TAIL, SQUEEZED = 12.0, 40.0
"""A field goes on a logarithmic axis where its 99.5th percentile is this many times its median, or where
the highest value is `SQUEEZED` times a cut, so that on a linear axis one side of the cut had no room."""
MANY_ZEROS = 0.3
"""The share of values that are exactly 0 from which they get a bar of their own."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The values between two edges, by what became of their samples: kept, removed here or elsewhere."""

    low: float
    high: float
    kept: int = 0
    here: int = 0
    elsewhere: int = 0

    @property
    def total(self) -> int:
        """All values in the bin."""
        return self.kept + self.here + self.elsewhere


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bins from left to right on their axis.

    `below` and `above` count values beyond the axis, which lie in the outermost bins; `nulls` values that
    are missing though the sample did not fail. `zero` is a bar of its own for the values ≤ 0, where the axis
    is logarithmic or where so many are exactly 0 that nothing else could be seen.
    """

    scale: Scale
    bins: tuple[Bin, ...]
    zero: Bin | None = None
    below: int = 0
    above: int = 0
    nulls: int = 0


@dataclass(frozen=True, slots=True)
class Category:
    """One value of a text or boolean field with its counts, as a `Bin` has them."""

    value: str
    kept: int = 0
    here: int = 0
    elsewhere: int = 0

    @property
    def total(self) -> int:
        """All samples of this value."""
        return self.kept + self.here + self.elsewhere


@dataclass(frozen=True, slots=True)
class _Extent:
    low: float
    high: float
    q_low: float
    median: float
    q_high: float
    positive_low: float | None
    whole: bool
    zeros: float


@dataclass(slots=True)
class _Values:
    """SQL for the values of one field: a scalar column as it is, a list column item by item."""

    name: str
    column_type: str
    is_list: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_list = self.column_type.endswith("[]")

    @property
    def sql(self) -> str:
        """The value as a double; NaN and infinities count as absent."""
        column = quoted(self.name)
        value = f"CAST({f'unnest({column})' if self.is_list else column} AS DOUBLE)"
        return f"SELECT ordinal, {value} AS v FROM samples"


def histogram(
    run: RunLike, name: str, column_type: str, rule: str, atoms: list[AtomLike]
) -> Histogram | None:
    """The histogram of a numeric field, with an edge exactly on the cut; None where no sample has a value."""
    values = _Values(name, column_type)
    extent = _extent(run, values)
    if extent is None:
        return None
    lines = cuts(atoms)
    scale, step = _axis(extent, [bound for _, bound in lines])
    closed_right = bool(lines) and lines[0][0] in ("<=", ">")
    # Zeros stand apart where they would dwarf the rest, unless the cut lies among them.
    apart = scale.log or (extent.low >= 0 and extent.zeros >= MANY_ZEROS and all(b > 0 for _, b in lines))
    counted = _counts(run, values, rule, scale, step, closed_right, apart)
    n = max(1, round((scale.forward(scale.high) - scale.forward(scale.low)) / step))
    bins = tuple(_bin(scale, step, i, counted.bins.get(i, (0, 0, 0))) for i in range(n))
    zero = Bin(0, 0, *counted.bins[_ZERO]) if _ZERO in counted.bins else None
    return Histogram(scale, bins, zero, counted.below, counted.above, counted.nulls)


def categories(run: RunLike, name: str, rule: str, most: int = 12) -> list[Category]:
    """The most frequent values of a text or boolean field, most frequent first."""
    column = quoted(name)
    found = rows(
        run,
        f"""SELECT CAST(v AS VARCHAR) AS value, {_FATE_SUMS}
            FROM (SELECT ordinal, {column} AS v FROM samples) {_WITH_FATES} WHERE v IS NOT NULL
            GROUP BY value ORDER BY count(*) DESC, value LIMIT {int(most)}""",
        rule,
        rule,
    )
    return [Category(r["value"], int(r["kept"]), int(r["here"]), int(r["elsewhere"])) for r in found]


# Only the columns that are needed: a passthrough column of `samples` may be called `fate` or `rule`, too.
_WITH_FATES = "JOIN (SELECT ordinal, fate, rule FROM fates) USING (ordinal)"
_FATE_SUMS = """count(*) FILTER (fate = 'kept') AS kept,
    count(*) FILTER (fate <> 'kept' AND rule IS NOT DISTINCT FROM ?) AS here,
    count(*) FILTER (fate <> 'kept' AND rule IS DISTINCT FROM ?) AS elsewhere"""


def _extent(run: RunLike, values: _Values) -> _Extent | None:
    found = rows(
        run,
        f"""SELECT count(v) FILTER (isfinite(v)) AS n, min(v) FILTER (isfinite(v)) AS low,
                max(v) FILTER (isfinite(v)) AS high,
                approx_quantile(v, [0.005, 0.5, 0.995]) FILTER (isfinite(v)) AS q,
                min(v) FILTER (v > 0) AS positive_low,
                bool_and(v = floor(v)) FILTER (isfinite(v)) AS whole, count(*) FILTER (v = 0) AS zeros
            FROM ({values.sql})""",
    )[0]
    if not found["n"]:
        return None
    q_low, median, q_high = found["q"]
    return _Extent(
        found["low"], found["high"], q_low, median, q_high,
        found["positive_low"], bool(found["whole"]), found["zeros"] / found["n"],
    )  # fmt: skip


def _axis(extent: _Extent, bounds: list[float]) -> tuple[Scale, float]:
    """The axis and the width of a bin in axis units, such that the first bound is an edge."""
    log = _is_heavy(extent, bounds)
    low, high = _log_ends(extent, bounds) if log else _linear_ends(extent)
    low, high = min([low, *bounds]), max([high, *bounds])
    scale = Scale(low, high if high > low else low + 1, log)
    a, b = scale.forward(scale.low), scale.forward(scale.high)
    step = (b - a) / BINS
    if extent.whole and not log:
        step = max(1.0, float(math.ceil(step)))
    anchor = scale.forward(bounds[0]) if bounds else a
    a = anchor - math.ceil((anchor - a) / step - 1e-9) * step
    # The highest value needs a bin of its own where the last edge would fall on it.
    steps = math.floor((b - a) / step + 1e-9) + 1
    ends = [10.0**x if log else x for x in (a, a + steps * step)]
    return Scale(ends[0], ends[1], log), step


def _is_heavy(extent: _Extent, bounds: list[float]) -> bool:
    if extent.low < 0 or extent.positive_low is None or any(b <= 0 for b in bounds):
        return False
    tailed = extent.median > 0 and extent.q_high > HEAVY_TAIL * extent.median
    return tailed or any(extent.high > SQUEEZED * b for b in bounds)


def _log_ends(extent: _Extent, bounds: list[float]) -> tuple[float, float]:
    """The range of the positive values; a few very small ones may not stretch the axis over many decades."""
    floor = min([b for b in (extent.median, *bounds) if b > 0], default=extent.high) / 1000
    return max(extent.positive_low or floor, floor), extent.high


def _linear_ends(extent: _Extent) -> tuple[float, float]:
    """The range of the values, or of all but one in a hundred where a few lie very far out."""
    low, high = extent.low, extent.high
    inner = extent.q_high - extent.q_low
    if inner > 0 and high - extent.q_high > 3 * inner:
        high = extent.q_high
    if inner > 0 and extent.q_low - low > 3 * inner:
        low = extent.q_low
    return low, high


@dataclass(slots=True)
class _Counted:
    bins: dict[int, tuple[int, int, int]]
    below: int
    above: int
    nulls: int


def _counts(
    run: RunLike, values: _Values, rule: str, scale: Scale, step: float, closed_right: bool, apart: bool
) -> _Counted:
    start = scale.forward(scale.low)
    axis = "log10(v)" if scale.log else "v"
    last = max(0, round((scale.forward(scale.high) - start) / step) - 1)
    # A bin holds the values of its lower edge, or of its upper edge where the rule keeps values up to the
    # cut; the small share of a step absorbs rounding where a value lies on an edge.
    place = f"({axis} - {start!r}) / {step!r}"
    index = f"ceil({place} - 1e-9) - 1" if closed_right else f"floor({place} + 1e-9)"
    index = f"CAST(greatest(0, least({last}, {index})) AS INTEGER)"
    low, high = f"{scale.low!r} - 1e-9 * {step!r}", f"{scale.high!r} + 1e-9 * {step!r}"
    found = rows(
        run,
        f"""SELECT bin, {_FATE_SUMS}, count(*) FILTER (fate <> 'failed') AS judged,
                count(*) FILTER (v > 0 AND v < {low}) + count(*) FILTER (v <= 0 AND {not apart} AND v < {low})
                    AS below,
                count(*) FILTER (v > {high}) AS above
            FROM (SELECT ordinal, v, CASE WHEN v IS NULL OR NOT isfinite(v) THEN {_NO_VALUE}
                                          WHEN v <= 0 AND {apart} THEN {_ZERO} ELSE {index} END AS bin
                  FROM ({values.sql}))
            {_WITH_FATES} GROUP BY bin""",
        rule,
        rule,
    )
    by_bin = {r["bin"]: r for r in found}
    absent = by_bin.pop(_NO_VALUE, {"judged": 0})
    return _Counted(
        {k: (r["kept"], r["here"], r["elsewhere"]) for k, r in by_bin.items()},
        sum(r["below"] for r in by_bin.values()),
        sum(r["above"] for r in by_bin.values()),
        absent["judged"],
    )


def _bin(scale: Scale, step: float, index: int, counts: tuple[int, int, int]) -> Bin:
    start = scale.forward(scale.low) + index * step
    low, high = (10.0**start, 10.0 ** (start + step)) if scale.log else (start, start + step)
    return Bin(low, high, *counts)
