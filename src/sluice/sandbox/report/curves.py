"""Repeat against extend: what a pool gains as it grows, by either strategy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sluice.sandbox.report import marks
from sluice.sandbox.report.found import Found
from sluice.sandbox.statistics import Comparison
from sluice.view.html import Html, element, join
from sluice.view.scale import Scale

_TOP, _HEIGHT, _LEFT = 12, 220, 7.0
Point = tuple[float, Comparison]

KINDS = ("repeat", "extend")
"""Kinds of pools that were grown."""


def section(found: Found) -> Html | None:
    """The curves in the main metric; None where no pool was grown."""
    by_arm = {c.arm: c for c in found.comparisons if c.metric == found.metric and c.gain is not None}
    lines: dict[str, list[Point]] = {}
    for arm, origin in found.pools.items():
        if origin.get("kind") in KINDS and arm in by_arm:
            lines.setdefault(str(origin["kind"]), []).append((float(origin["rate"]), by_arm[arm]))
    if not lines:
        return None
    points = [point for line in lines.values() for point in line]
    rates = Scale(0, max(rate for rate, _ in points) * 1.04)
    gains = marks.common_scale([c for _, c in points])
    drawn = [
        _line(kind, sorted(line, key=lambda p: p[0]), rates, gains) for kind, line in sorted(lines.items())
    ]
    height = _TOP + _HEIGHT + 26
    chart = element("svg", *_axes(rates, gains), *drawn, cls="hist curves", role="img", height=height,
                    aria_label="gain by how many times the base size")  # fmt: skip
    key = element(
        "p",
        *(element("span", element("span", "", cls=f"swatch {k}"), k) for k in sorted(lines)),
        cls="legend",
    )
    rows = [
        (f"{rate:g} ×", *(_at(lines.get(kind, []), rate) for kind in sorted(lines)))
        for rate in sorted({rate for rate, _ in points})
    ]
    return join(key, element("div", chart, cls="plot"), marks.table(["size", *sorted(lines)], rows))


def _at(line: Sequence[Point], rate: float) -> Html:
    return marks.cell(next((c for r, c in line if r == rate), None))


def _x(rates: Scale, rate: float) -> str:
    return f"{_LEFT + (100 - _LEFT) * rates.position(rate) / 100:.2f}%"


def _y(gains: Scale, gain: float) -> float:
    return _TOP + _HEIGHT * (1 - gains.position(gain) / 100)


def _axes(rates: Scale, gains: Scale) -> list[Html]:
    shapes = []
    for value in gains.ticks(5):
        y = _y(gains, value)
        shapes.append(element("line", cls="grid" if value else "axis", x1=f"{_LEFT}%", x2="100%", y1=y, y2=y))
        shapes.append(element("text", marks.signed(value), x=f"{_LEFT - 1}%", y=y + 4, cls="tick end"))
    for value in filter(None, rates.ticks(6)):
        shapes.append(
            element("text", f"{value:g} ×", x=_x(rates, value), y=_TOP + _HEIGHT + 20, cls="tick middle")
        )
    return shapes


def _line(kind: str, line: Sequence[Point], rates: Scale, gains: Scale) -> Html:
    shapes = []
    for (a, first), (b, second) in pairwise(line):
        ends = {"y1": _y(gains, first.gain or 0.0), "y2": _y(gains, second.gain or 0.0)}
        shapes.append(element("line", x1=_x(rates, a), x2=_x(rates, b), **ends))
    for rate, each in line:
        x = _x(rates, rate)
        title = element("title", f"{rate:g} ×: {marks.details(each)}")
        mark = [title, element("circle", cx=x, cy=_y(gains, each.gain or 0.0), r=4.5)]
        if span := each.ends:
            mark.append(
                element("line", cls="whisker", x1=x, x2=x, y1=_y(gains, span[0]), y2=_y(gains, span[1]))
            )
        shapes.append(element("g", *mark))
    return element("g", *shapes, cls=f"curve {kind}")
