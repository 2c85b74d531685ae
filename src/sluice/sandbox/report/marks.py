"""How the report writes a comparison: its gain, its interval and its verdict, in words, colour and a drawn interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sluice.sandbox.statistics import Comparison
from sluice.view.html import Html, element, escape, join
from sluice.view.scale import Scale

CLASSES = {"better": "better", "worse": "worse", "not distinguishable": "same", "no verdict": "none"}
"""The class of the style sheet that each verdict has."""
SIGNS = {"better": "▲", "worse": "▼", "not distinguishable": "≈", "no verdict": "○"}
"""A sign beside the colour, for those who do not see it."""
_LINE = 16


def signed(value: float) -> str:
    """A gain to three significant digits, with its sign: +0.42, −1.3, 0."""
    text = f"{value:+.3g}" if value else "0"
    return text.replace("-", "−")


def cell(of: Comparison | None) -> Html:
    """A comparison as the content of a table's cell."""
    if of is None:
        return element("span", "–", cls="faint")
    if of.gain is None:
        return element("span", "– ", element("small", of.why), cls="verdict none")
    found = of.ends
    between = f"{signed(found[0])} to {signed(found[1])}" if found else of.why
    sign = element("span", SIGNS[of.verdict], cls="sign", aria_label=of.verdict, role="img")
    return element(
        "span",
        sign,
        element("b", signed(of.gain)),
        element("small", between),
        cls=f"verdict {CLASSES[of.verdict]}",
        title=details(of),
    )


def details(of: Comparison) -> str:
    """Everything about a comparison in one line."""
    parts = [f"{of.arm}, {of.metric}: {of.verdict}", f"{of.n} pairs"]
    if of.change is not None:
        parts.append(f"{100 * of.change:+.2f} % of the control")
    if of.effect_size is not None:
        parts.append(f"d = {of.effect_size:.2g}")
    if of.p is not None:
        parts.append(f"p = {of.p:.2g}")
    if of.p_adjusted is not None:
        parts.append(f"corrected {of.p_adjusted:.2g}")
    return ", ".join([*parts, of.why] if of.why else parts)


def common_scale(found: Iterable[Comparison]) -> Scale:
    """An axis for the gains of all of them, with 0 on it."""
    edges = [0.0]
    for each in found:
        edges += each.ends or ([each.gain] if each.gain is not None else [])
    low, high = min(edges), max(edges)
    room = 0.06 * (high - low) or 1.0
    return Scale(low - room, high + room)


def drawn(found: Sequence[tuple[str, Comparison | None]], scale: Scale) -> Html:
    """Intervals one below the other on one axis, each with its label; the line at 0 is the control."""
    height = _LINE * max(1, len(found))
    zero = f"{scale.position(0.0):.2f}%"
    marks = [element("line", cls="zero", x1=zero, x2=zero, y1=0, y2=height)]
    for row, (label, each) in enumerate(found):
        if each is None or each.gain is None:
            continue
        y = _LINE * row + _LINE / 2
        middle = scale.position(each.gain)
        shapes = [element("title", f"{label}: {details(each)}")]
        if found_ends := each.ends:
            x1, x2 = (f"{scale.position(v):.2f}%" for v in found_ends)
            shapes.append(element("line", x1=x1, x2=x2, y1=y, y2=y))
        shapes.append(element("circle", cx=f"{middle:.2f}%", cy=y, r=4))
        marks.append(element("g", *shapes, cls=f"interval {CLASSES[each.verdict]}"))
    names = ", ".join(f"{label} {signed(c.gain)}" for label, c in found if c and c.gain is not None)
    return element("svg", *marks, cls="intervals", role="img", height=height, aria_label=names or "no value")


def axis(scale: Scale) -> Html:
    """The axis below drawn intervals."""
    ticks = scale.ticks(5)
    marks = [element("line", cls="axis", x1="0%", x2="100%", y1=0.5, y2=0.5)]
    for value in ticks:
        x = scale.position(value)
        side = "start" if x < 4 else "end" if x > 96 else "middle"
        marks.append(element("line", cls="axis", x1=f"{x:.2f}%", x2=f"{x:.2f}%", y1=0, y2=4))
        marks.append(element("text", signed(value), x=f"{x:.2f}%", y=17, cls=f"tick {side}"))
    return element("svg", *marks, cls="hist", height=20, aria_hidden="true")


def legend() -> Html:
    """What signs and colours mean."""
    words = [
        element("span", element("span", SIGNS[verdict], cls=f"sign {cls}"), f" {verdict}")
        for verdict, cls in CLASSES.items()
    ]
    return element("p", *words, cls="legend")


def table(
    head: Sequence[str], body: Iterable[Sequence[object]], right: Iterable[int] = (), cls: str = ""
) -> Html:
    """A table whose first column heads its rows; `right` are the columns of numbers."""
    numbers = set(right)
    titles = [element("th", t, scope="col", cls="num" if k in numbers else None) for k, t in enumerate(head)]
    rows = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", v, cls="num" if k in numbers else None) for k, v in enumerate(row[1:], 1)),
        )
        for row in body
    ]
    shown = element(
        "table", element("thead", element("tr", *titles)), element("tbody", *rows), cls=cls or None
    )
    return element("div", shown, cls="scroll")


def note(*parts: object) -> Html:
    """A remark below a figure."""
    return element("p", join(*map(escape, parts)), cls="note")
