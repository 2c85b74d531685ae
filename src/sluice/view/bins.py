"""How the values of a field are spread, counted inside DuckDB so that no run is too large for its report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sluice.view.scale import Scale
from sluice.view.source import AtomLike, RunLike, cuts, quoted, rows

BINS = 48
"""Bars in a histogram: enough to show a shape, wide enough to be hit by a finger on a phone."""
_ZERO, _NO_VALUE, _BELOW, _ABOVE = -1, -2, -3, -4
HEAVY_TAIL, SQUEEZED = 12.0, 40.0
"""A field goes on a logarithmic axis where its 99.5th percentile is this many times its median, or where
the highest value is `SQUEEZED` times a cut, so that on a linear axis one side of the cut had no room."""
DRAWN = 200_000
"""About how many samples the quantiles are taken from."""
LEAST = 1e-300
"""Where a logarithmic axis begins at the least: a bin below it still has an edge that is no 0."""
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
class Wanted:
    """A histogram to be made: of a numeric field, for a rule, with the rule's comparisons of the field.

    `expression` is SQL over the columns of a sample that takes the field's place.
    """

    field: str
    column_type: str
    rule: str
    atoms: tuple[AtomLike, ...] = ()
    expression: str = ""


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


@dataclass(frozen=True, slots=True)
class _Axis:
    scale: Scale
    step: float
    closed_right: bool
    apart: bool

    @property
    def bins(self) -> int:
        """How many bins it has."""
        span = self.scale.forward(self.scale.high) - self.scale.forward(self.scale.low)
        return max(1, round(span / self.step))

    def edge(self, index: int) -> float:
        """The lower edge of a bin."""
        place = self.scale.forward(self.scale.low) + index * self.step
        return 10.0**place if self.scale.log else place


def histograms(run: RunLike, wanted: Sequence[Wanted]) -> list[Histogram | None]:
    """The histograms, each with an edge exactly on its cut; None where no sample has a value.

    All scalar fields take two passes together, so that a run of ten million samples is a matter of seconds;
    a field with several values a sample takes two of its own.
    """
    scalars = [w for w in wanted if not w.column_type.endswith("[]")]
    made = dict(zip(map(id, scalars), _made(run, scalars), strict=True)) if scalars else {}
    for w in wanted:
        if id(w) not in made:
            made[id(w)] = _made(run, [w])[0]
    return [made[id(w)] for w in wanted]


def _made(run: RunLike, wanted: Sequence[Wanted]) -> list[Histogram | None]:
    columns = ", ".join(f"CAST({_items(w)} AS DOUBLE) AS x{k}" for k, w in enumerate(wanted))
    finite = ", ".join(f"CASE WHEN isfinite(x{k}) THEN x{k} END AS v{k}" for k in range(len(wanted)))
    values = f"SELECT ordinal, {finite} FROM (SELECT ordinal, {columns} FROM samples)"
    axes = {
        k: _axis(extent, cuts(wanted[k].atoms))
        for k, extent in enumerate(_extents(run, values, len(wanted)))
        if extent is not None
    }
    counted = _counts(run, values, axes)
    return [_histogram(axes[k], counted[k], w.rule) if k in axes else None for k, w in enumerate(wanted)]


def _items(wanted: Wanted) -> str:
    column = wanted.expression or quoted(wanted.field)
    return f"unnest({column})" if wanted.column_type.endswith("[]") else column


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


def _extents(run: RunLike, values: str, n: int) -> list[_Extent | None]:
    # Quantiles only choose the axis: of a large run a draw that is always the same one is enough.
    every = max(1, int(run.summary["read"]) // DRAWN)
    asked = ", ".join(
        f"""count(v{k}) AS n{k}, min(v{k}) AS low{k}, max(v{k}) AS high{k},
            min(CASE WHEN v{k} > 0 THEN v{k} END) AS positive_low{k}, bool_and(v{k} = floor(v{k})) AS whole{k},
            approx_quantile(CASE WHEN hash(ordinal) % {every} = 0 THEN v{k} END, [0.005, 0.5, 0.995]) AS q{k},
            sum(CASE WHEN v{k} = 0 THEN 1 ELSE 0 END) AS zeros{k}"""
        for k in range(n)
    )
    row = rows(run, f"SELECT {asked} FROM ({values})")[0]
    found: list[_Extent | None] = []
    for k in range(n):
        if not row[f"n{k}"]:
            found.append(None)
            continue
        low, high, positive_low, whole = (
            row[f"{what}{k}"] for what in ("low", "high", "positive_low", "whole")
        )
        # No value in the draw: then the axis spans all there are.
        q_low, median, q_high = (low if q is None else q for q in row[f"q{k}"] or (low, low, high))
        zeros = float(row[f"zeros{k}"]) / row[f"n{k}"]
        found.append(_Extent(low, high, q_low, median, q_high, positive_low, bool(whole), zeros))
    return found


def _axis(extent: _Extent, lines: Sequence[tuple[str, float]]) -> _Axis:
    """The axis and the width of a bin in axis units, such that the first bound is an edge."""
    bounds = [bound for _, bound in lines]
    log = _is_heavy(extent, bounds)
    low, high = _log_ends(extent, bounds) if log else _linear_ends(extent)
    low, high = min([low, *bounds]), max([high, *bounds])
    scale = Scale(low, high if high > low else low + 1, log)
    a, b = scale.forward(scale.low), scale.forward(scale.high)
    step = (b - a) / BINS
    if extent.whole and not log and all(float(bound).is_integer() for bound in bounds):
        step = max(1.0, float(math.ceil(step)))
    anchor = scale.forward(bounds[0]) if bounds else a
    a = anchor - math.ceil((anchor - a) / step - 1e-9) * step
    # The highest value needs a bin of its own where the last edge would fall on it.
    steps = math.floor((b - a) / step + 1e-9) + 1
    ends = [10.0**x if log else x for x in (a, a + steps * step)]
    # Zeros stand apart where they would dwarf the rest, unless the cut lies among them.
    apart = log or (extent.low >= 0 and extent.zeros >= MANY_ZEROS and all(b > 0 for b in bounds))
    closed_right = bool(lines) and lines[0][0] in ("<=", ">")
    return _Axis(Scale(ends[0], ends[1], log), step, closed_right, apart)


def _is_heavy(extent: _Extent, bounds: list[float]) -> bool:
    if extent.low < 0 or extent.positive_low is None or any(b <= 0 for b in bounds):
        return False
    tailed = extent.median > 0 and extent.q_high > HEAVY_TAIL * extent.median
    return tailed or any(extent.high > SQUEEZED * b for b in bounds)


def _log_ends(extent: _Extent, bounds: list[float]) -> tuple[float, float]:
    """The range of the positive values; a few very small ones may not stretch the axis over many decades."""
    floor = min([b for b in (extent.median, *bounds) if b > 0], default=extent.high) / 1000
    return max(extent.positive_low or floor, floor, LEAST), extent.high


def _linear_ends(extent: _Extent) -> tuple[float, float]:
    """The range of the values, or of all but one in a hundred where a few lie very far out."""
    low, high = extent.low, extent.high
    inner = extent.q_high - extent.q_low
    if inner > 0 and high - extent.q_high > 3 * inner:
        high = extent.q_high
    if inner > 0 and extent.q_low - low > 3 * inner:
        low = extent.q_low
    return low, high


def _place(axis: _Axis, v: str) -> str:
    """SQL for the bin of a value: its index, or one of the codes below 0."""
    start = axis.scale.forward(axis.scale.low)
    # A bin holds the values of its lower edge, or of its upper edge where the rule keeps values up to the
    # cut; the small share of a step absorbs rounding where a value lies on an edge.
    place = f"({f'log10({v})' if axis.scale.log else v} - {start!r}) / {axis.step!r}"
    index = f"ceil({place} - 1e-9) - 1" if axis.closed_right else f"floor({place} + 1e-9)"
    slack = 1e-9 * axis.step
    return f"""CASE WHEN {v} IS NULL THEN {_NO_VALUE}
        WHEN {v} <= 0 AND {axis.apart} THEN {_ZERO}
        WHEN {v} < {axis.scale.low - slack!r} THEN {_BELOW} WHEN {v} > {axis.scale.high + slack!r} THEN {_ABOVE}
        ELSE CAST(greatest(0, least({axis.bins - 1}, {index})) AS INTEGER) END"""


_Tally = list[tuple[int, str, str | None, int]]


def _counts(run: RunLike, values: str, axes: Mapping[int, _Axis]) -> dict[int, _Tally]:
    """For each column `(bin, fate, rule, how many)`, in one pass over all of them."""
    tallies: dict[int, _Tally] = {k: [] for k in axes}
    if not axes:
        return tallies
    places = ", ".join(f"{_place(axis, f'v{k}')} AS b{k}" for k, axis in axes.items())
    names = ", ".join(f"b{k}" for k in axes)
    sets = ", ".join(f"(b{k}, fate, rule)" for k in axes)
    found = rows(
        run,
        f"""SELECT {names}, fate, rule, count(*) AS n FROM (SELECT ordinal, {places} FROM ({values}))
            {_WITH_FATES} GROUP BY GROUPING SETS ({sets})""",
    )
    for row in found:
        for k, tally in tallies.items():
            if row[f"b{k}"] is not None:
                tally.append((row[f"b{k}"], row["fate"], row["rule"], row["n"]))
    return tallies


def _histogram(axis: _Axis, tally: _Tally, rule: str) -> Histogram:
    sums: dict[int, list[int]] = {}
    nulls = below = above = 0
    for code, fate, by, n in tally:
        if code == _NO_VALUE:
            nulls += n if fate != "failed" else 0
            continue
        below += n if code == _BELOW else 0
        above += n if code == _ABOVE else 0
        index = {_BELOW: 0, _ABOVE: axis.bins - 1}.get(code, code)
        what = 0 if fate == "kept" else 1 if by == rule else 2
        sums.setdefault(index, [0, 0, 0])[what] += n
    bins = tuple(Bin(axis.edge(i), axis.edge(i + 1), *sums.get(i, (0, 0, 0))) for i in range(axis.bins))
    zero = Bin(0, 0, *sums[_ZERO]) if _ZERO in sums else None
    return Histogram(axis.scale, bins, zero, below, above, nulls)
