"""Heat maps: how measures correlate with each other over the samples, and metrics over the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sluice.sandbox.analysis import cluster, correlations
from sluice.sandbox.report import marks
from sluice.sandbox.report.found import Found
from sluice.view.html import Html, element, join

_CELL, _LABEL, _WRITTEN = 30, 30.0, 14
R = Mapping[tuple[str, str], float | None]


def measures(found: Found) -> Html | None:
    """Pearson's correlations of the measures; None where they were not analysed."""
    rows = found.correlations
    if not rows:
        return None
    names = list(dict.fromkeys(name for row in rows for name in (row["a"], row["b"])))
    r: R = {(row["a"], row["b"]): row["pearson"] for row in rows}
    if order := [name for name in found.clusters.get("order", ()) if name in names]:
        order += [name for name in names if name not in order]
        how = f"order: clusters by {found.clusters['distance']}, {found.clusters['linkage']} linkage"
        return join(heat_map(order, r), marks.note(f"Pearson's r of the samples' values; {how}."))
    return _clustered(names, r, "Pearson's r of the samples' values")


def metrics(found: Found) -> Html | None:
    """Pearson's correlations of the metrics over all runs; None of fewer than two metrics or four runs."""
    runs = list(dict.fromkeys((s.arm, s.seed) for s in found.scores))
    names = list(dict.fromkeys(s.metric for s in found.scores))
    if len(names) < 2 or len(runs) < 4:
        return None
    values = {(s.arm, s.seed, s.metric): s.value for s in found.scores}
    columns: dict[str, NDArray[np.float64]] = {
        name: np.array([values.get((*run, name)) for run in runs], np.float64) for name in names
    }
    r = {(c.a, c.b): c.pearson for c in correlations(columns)}
    return _clustered(names, r, f"Pearson's r over {len(runs)} runs")


def _clustered(names: Sequence[str], r: R, what: str) -> Html:
    made = cluster(names, r)
    how = f"order: hierarchical clusters by {made.distance}, {made.linkage} linkage"
    return join(heat_map(made.order, r), marks.note(f"{what}; {how}. A dash: constant, or too few values."))


def heat_map(names: Sequence[str], r: R) -> Html:
    """A square of cells; colour tells the sign, its strength the size, and up to 14 names the number stands in it."""
    width = (100 - _LABEL) / max(1, len(names))
    shapes = []
    for row, a in enumerate(names):
        y = _CELL * (row + 1)
        label = element("text", f"{row + 1}  {a}", x="0%", y=y + _CELL / 2 + 4, cls="label")
        shapes.append(element("g", element("title", a), label))
        head = _LABEL + width * (row + 0.5)
        shapes.append(element("text", row + 1, x=f"{head:.2f}%", y=_CELL - 8, cls="tick middle"))
        for column, b in enumerate(names):
            value = 1.0 if a == b else r.get((a, b), r.get((b, a)))
            shapes.append(
                _cell(value, f"{a}, {b}", _LABEL + width * column, y, width, len(names) <= _WRITTEN)
            )
    return element(
        "div",
        element("svg", *shapes, cls="hist heat", role="img", height=_CELL * (len(names) + 1),
                aria_label=f"correlations of {len(names)} columns"),
        cls="scroll heat-frame",
    )  # fmt: skip


def _cell(value: float | None, pair: str, x: float, y: float, width: float, written: bool) -> Html:
    shown = "–" if value is None else f"{round(value, 2) + 0.0:.2f}".replace("-", "−")
    strength = 0.0 if value is None else abs(value)
    sign = "none" if value is None else "plus" if value >= 0 else "minus"
    cell = element(
        "rect",
        cls=sign,
        x=f"{x:.3f}%",
        y=y,
        width=f"{width * 0.97:.3f}%",
        height=_CELL - 1,
        fill_opacity=0.06 + 0.84 * strength,
    )
    text = element("text", shown, x=f"{x + width / 2:.2f}%", y=y + _CELL / 2 + 4,
                   cls="r")  # fmt: skip
    return element("g", element("title", f"{pair}: r = {shown}"), cell, text if written else None)
