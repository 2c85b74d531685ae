"""The lattice of recipes: what combinations of conditions gain over the control, and over their parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sluice.sandbox.operators import conditions_of
from sluice.sandbox.report import marks
from sluice.sandbox.report.found import Found
from sluice.sandbox.statistics import Comparison
from sluice.view import number
from sluice.view.html import Html, element, isolated, join

_ROW, _NODE, _MOST = 96, 30, 5
Conditions = frozenset[str]


def section(found: Found) -> Html | None:
    """The lattice in the main metric; None where no combination was compared."""
    nodes: dict[Conditions, Comparison] = {}
    for each in found.comparisons:
        names = frozenset(f"{measure}-{part}" for measure, part in conditions_of(each.arm))
        if names and each.metric == found.metric:
            nodes[names] = each
    used = sorted({name for names in nodes if len(names) > 1 for name in names})
    if not used:
        return None
    within = {names: c for names, c in nodes.items() if names <= set(used)}
    letters = {name: chr(ord("A") + k) for k, name in enumerate(used)}
    key = [element("li", element("b", letter), " ", isolated(name)) for name, letter in letters.items()]
    drawn = _drawn(within, letters) if len(used) <= _MOST else None
    return join(
        marks.legend(), element("ul", *key, cls="letters"), drawn, _table(within, letters, found.pools)
    )


def _drawn(nodes: Mapping[Conditions, Comparison], letters: Mapping[str, str]) -> Html:
    levels: dict[int, list[Conditions]] = {}
    for names in sorted(nodes, key=lambda n: _label(n, letters)):
        levels.setdefault(len(names), []).append(names)
    top = max(levels)
    places = {
        names: (100 * (k + 0.5) / len(some), _ROW * (top - size) + _NODE)
        for size, some in levels.items()
        for k, names in enumerate(some)
    }
    lines = [
        element(
            "line",
            cls="edge",
            x1=f"{places[a][0]:.2f}%",
            y1=places[a][1],
            x2=f"{places[b][0]:.2f}%",
            y2=places[b][1],
        )
        for a in nodes
        for b in nodes
        if a < b and len(b) == len(a) + 1
    ]
    shapes = [_node(nodes[names], _label(names, letters), *places[names]) for names in nodes]
    height = _ROW * top
    return element(
        "svg", *lines, *shapes, cls="lattice", role="img", height=height, aria_label="lattice of recipes"
    )


def _node(of: Comparison, label: str, x: float, y: float) -> Html:
    gain = "–" if of.gain is None else marks.signed(of.gain)
    return element(
        "g",
        element("title", marks.details(of)),
        element("circle", cx=f"{x:.2f}%", cy=y, r=20),
        element("text", label, x=f"{x:.2f}%", y=y + 5, cls="label"),
        element("text", f"{marks.SIGNS[of.verdict]} {gain}", x=f"{x:.2f}%", y=y + 38, cls="gain"),
        cls=f"node {marks.CLASSES[of.verdict]}",
    )


def _label(names: Conditions, letters: Mapping[str, str]) -> str:
    return "".join(sorted(letters[name] for name in names))


def _table(
    nodes: Mapping[Conditions, Comparison], letters: Mapping[str, str], pools: Mapping[str, Mapping[str, Any]]
) -> Html:
    rows: list[Sequence[object]] = []
    for names in sorted(nodes, key=lambda n: (len(n), _label(n, letters))):
        of = nodes[names]
        pool = pools.get(of.arm, {})
        lift = pool.get("lift")
        rows.append(
            (
                _label(names, letters),
                marks.cell(of),
                number.count(pool["of"]) if "of" in pool else "–",
                f"{lift:.3f}" if lift is not None else "–",
            )
        )
    return marks.table(["conditions", "gain", "samples that meet them", "lift"], rows, right=(2, 3))
