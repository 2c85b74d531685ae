"""Charts as plain SVG: positions in percent, text in pixels, so that they fit a phone unshrunk."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sluice.view import number
from sluice.view.bins import Bin, Histogram
from sluice.view.html import Html, element, join
from sluice.view.scale import Scale

_PLOT_TOP, _PLOT_HEIGHT, _AXIS = 26, 150, 24
_ROW = 17
_BREAK = 2.5
"""A bar of zeros this many times the next highest is cut off, marked so, and its count written on it."""
_APART = 48.0
"""Percent of the width that a label and its neighbour need between them on a phone."""
_ZERO_WIDTH = 5.0
"""Percent of the width given to the bar of values ≤ 0 beside a logarithmic axis."""


def stacked_bar(parts: Sequence[tuple[str, float, str]], whole: float, label: str) -> Html:
    """A horizontal bar of `(class, amount, title)` parts; `whole` is its full width."""
    shapes, left = [], 0.0
    for cls, amount, title in parts:
        if amount <= 0:
            continue
        width = max(0.3, 100 * amount / whole) if whole > 0 else 0.0
        shapes.append(
            element("rect", element("title", title), cls=cls, x=f"{left:.3f}%", y=0,
                    width=f"{width:.3f}%", height="100%")
        )  # fmt: skip
        left += 100 * amount / whole if whole > 0 else 0.0
    return element("svg", *shapes, cls="bar", role="img", aria_label=label)


def histogram_chart(
    found: Histogram, lines: Sequence[tuple[str, float]], unit: str, plain: bool, label: str
) -> Html:
    """A histogram stacked by fate with the cut lines `(op, bound)` drawn.

    `plain` says that a sample must pass all of them: then what lies beyond them is tinted.
    """
    left = _ZERO_WIDTH + 2 if found.zero else 0.0
    rows = label_rows([found.scale.position(bound) for _, bound in lines])
    top = _PLOT_TOP + _ROW * max(rows, default=0)
    height = top + _PLOT_HEIGHT + _AXIS
    peak = max(b.total for b in found.bins)
    if found.zero and not cut_off(found):
        peak = max(peak, found.zero.total)
    place = _Frame(found.scale, left, top)
    marks = join(
        *(_shade(place, op, bound) for op, bound in lines if plain),
        *_grid(place, peak),
        *(_bar(place, b, peak, unit) for b in found.bins if b.total),
        _zero_bar(place, found.zero, peak) if found.zero else None,
        *_axis(place),
        *(_cut(place, op, bound, unit, row, plain) for row, (op, bound) in zip(rows, lines, strict=True)),
    )
    return element("svg", element("title", label), marks, cls="hist", role="img", height=height)


def cut_off(found: Histogram) -> bool:
    """Whether the bar of zeros is so much higher than the rest that it is drawn cut off."""
    return found.zero is not None and found.zero.total > _BREAK * max(b.total for b in found.bins)


class _Frame:
    """Where things lie in a plot: x in percent right of `left`, y in pixels below `top`."""

    def __init__(self, scale: Scale, left: float, top: int) -> None:
        self.scale, self.left, self.top = scale, left, top
        self.bottom = top + _PLOT_HEIGHT

    def x(self, value: float) -> float:
        return self.left + (100 - self.left) * self.scale.position(value) / 100

    def y(self, count: float, peak: int) -> float:
        return self.bottom - _PLOT_HEIGHT * count / max(1, peak)


def _bar(place: _Frame, b: Bin, peak: int, unit: str) -> Html:
    x, right = place.x(b.low), place.x(b.high)
    title = f"{number.short(b.low)} to {number.with_unit(float(number_of(b.high)), unit)}: {_parts_text(b)}"
    return _stack(place, b, peak, x, (right - x) * 0.92, title)


def number_of(value: float) -> float:
    """The value without the digits that only rounding put there."""
    return float(f"{value:.4g}")


def _zero_bar(place: _Frame, b: Bin, peak: int) -> Html:
    middle = f"{_ZERO_WIDTH / 2:.2f}%"
    label = element(
        "text", "≤ 0" if place.scale.log else "0", x=middle, y=place.bottom + 17, cls="tick middle"
    )
    title = f"zero: {_parts_text(b)}"
    if b.total <= peak:
        return join(_stack(place, b, peak, 0.0, _ZERO_WIDTH, title), label)
    y = place.top + 26
    cut_off = element("line", cls="break", x1="-0.4%", x2=f"{_ZERO_WIDTH + 0.4:.2f}%", y1=y + 5, y2=y - 5)
    written = element("text", number.short(b.total), x=middle, y=place.top - 5, cls="tick middle")
    return join(_stack(place, b, b.total, 0.0, _ZERO_WIDTH, title), cut_off, written, label)


def _stack(place: _Frame, b: Bin, peak: int, x: float, width: float, title: str) -> Html:
    shapes, base = [], 0
    for cls, amount in (("kept", b.kept), ("here", b.here), ("elsewhere", b.elsewhere)):
        if amount:
            y, foot = place.y(base + amount, peak), place.y(base, peak)
            # A count too small to see is still drawn one pixel high.
            shapes.append(
                element("rect", cls=cls, x=f"{x:.3f}%", y=min(y, foot - 1.0), width=f"{width:.3f}%",
                        height=max(1.0, foot - y))
            )  # fmt: skip
        base += amount
    return element("g", element("title", title), *shapes)


def _parts_text(b: Bin) -> str:
    parts = ((b.kept, "kept"), (b.here, "removed by this rule"), (b.elsewhere, "removed elsewhere"))
    return ", ".join(f"{number.count(n)} {what}" for n, what in parts if n) or "none"


def _grid(place: _Frame, peak: int) -> list[Html]:
    marks = []
    for value in Scale(0, max(1, peak)).ticks(4):
        if value != int(value):
            continue
        y = place.y(value, peak)
        marks.append(element("line", cls="grid", x1="0%", x2="100%", y1=y, y2=y))
        marks.append(element("text", number.short(value), x=-8, y=y + 4, cls="tick end"))
    return marks


def _axis(place: _Frame) -> list[Html]:
    marks = [element("line", cls="axis", x1="0%", x2="100%", y1=place.bottom, y2=place.bottom)]
    ticks = place.scale.ticks(5 if place.left else 6)
    for value in ticks:
        if place.left and value == 0:
            # The bar of zeros beside the axis has this label already.
            continue
        x = place.x(value)
        anchor = "start" if x < 3 else "end" if x > 96 else "middle"
        marks.append(
            element("line", cls="axis", x1=f"{x:.2f}%", x2=f"{x:.2f}%", y1=place.bottom, y2=place.bottom + 4)
        )
        marks.append(
            element("text", number.short(value), x=f"{x:.2f}%", y=place.bottom + 17, cls=f"tick {anchor}")
        )
    return marks


def label_rows(positions: Sequence[float]) -> list[int]:
    """The row of each label, such that labels in one row stand far enough apart even on a phone."""
    found: list[int] = []
    for index, x in enumerate(positions):
        taken = {row for other, row in zip(positions[:index], found, strict=True) if abs(x - other) < _APART}
        found.append(next(row for row in range(len(positions)) if row not in taken))
    return found


def _shade(place: _Frame, op: str, bound: float) -> Html | None:
    x = place.x(bound)
    start, width = (place.left, x - place.left) if op in (">=", ">") else (x, 100 - x)
    if op not in (">=", ">", "<=", "<") or width <= 0:
        return None
    return element(
        "rect", cls="beyond", x=f"{start:.2f}%", y=place.top, width=f"{width:.2f}%", height=_PLOT_HEIGHT
    )


def _cut(place: _Frame, op: str, bound: float, unit: str, row: int, plain: bool) -> Html:
    x = place.x(bound)
    anchor = "start" if x < 20 else "end" if x > 80 else "middle"
    sign = {">=": "≥", "<=": "≤", "<>": "≠"}.get(op, op)
    text = f"{'keep ' if plain else ''}{sign} {number.with_unit(bound, unit)}"
    y = 14 + _ROW * row
    return join(
        element("line", cls="cut", x1=f"{x:.2f}%", x2=f"{x:.2f}%", y1=y + 5, y2=place.bottom + 4),
        element("text", text, x=f"{x:.2f}%", y=y, cls=f"cut-label {anchor}"),
    )


def waterfall_widths(start: int, removed: Sequence[int]) -> list[tuple[int, int]]:
    """For each step what enters it and what leaves it alive."""
    left = [start]
    for n in removed:
        left.append(left[-1] - n)
    return list(pairwise(left))
