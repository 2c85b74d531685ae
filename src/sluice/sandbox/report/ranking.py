"""The ranking of operators: low, mid and high third of each measure against the control, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.sandbox.operators import Operator, conditions_of, operators
from sluice.sandbox.pools import PARTS
from sluice.sandbox.report import curves, marks
from sluice.sandbox.report.found import Found
from sluice.sandbox.statistics import Comparison
from sluice.view.html import Html, element, isolated, join

_THIRDS = PARTS[:3]


def section(found: Found) -> Html | None:
    """All operators in the main metric; None where no third of a measure was compared."""
    ranked = operators(found.comparisons, found.metric)
    return ranking(ranked, found.metric) if ranked else None


def ranking(ranked: Sequence[Operator], metric: str) -> Html:
    """The table of operators: those with a better third by rank, the others together and in no order."""
    scale = marks.common_scale([c for o in ranked for c in o.thirds.values()])
    sure = [o for o in ranked if o.rank is not None]
    unsure = [o for o in ranked if o.rank is None]
    parts = PARTS if any("null" in o.thirds for o in ranked) else _THIRDS
    head = element(
        "tr",
        element("th", "", scope="col"),
        element("th", "operator", scope="col"),
        *(element("th", part, scope="col") for part in parts),
        element("th", f"gain in {metric}: {', '.join(parts)}", scope="col", cls="wide"),
    )
    body = [_row(o, parts, marks.drawn([(p, o.thirds.get(p)) for p in parts], scale)) for o in sure]
    if unsure:
        told = "No third is better than the control; their order means nothing"
        body.append(element("tr", element("td", told, colspan=len(parts) + 3), cls="between"))
        body += [_row(o, parts, marks.drawn([(p, o.thirds.get(p)) for p in parts], scale)) for o in unsure]
    foot = element(
        "tr", element("td", "", colspan=len(parts) + 2), element("td", marks.axis(scale), cls="wide")
    )
    table = element(
        "table", element("thead", head), element("tbody", *body), element("tfoot", foot), cls="ranking"
    )
    return join(
        marks.legend(),
        element("div", table, cls="scroll"),
        marks.note(
            "Mean difference from the control, paired by seed; positive is better. Intervals hold for each arm alone;"
            " verdicts are corrected for all arms and metrics together."
        ),
    )


def _row(of: Operator, parts: Sequence[str], chart: Html) -> Html:
    cells = [element("td", marks.cell(of.thirds.get(part))) for part in parts]
    rank = element("td", of.rank if of.rank is not None else "", cls="rank")
    name = element("th", isolated(of.measure), scope="row")
    return element("tr", rank, name, *cells, element("td", chart, cls="wide"))


def others(found: Found) -> Html | None:
    """Arms that are no thirds, no combinations of them and no grown pools (mixtures, say), in the main metric."""
    shown = {arm for arm, origin in found.pools.items() if origin.get("kind") in curves.KINDS}
    main = [c for c in found.comparisons if c.metric == found.metric and c.arm not in shown]
    rest = [c for c in main if not conditions_of(c.arm)]
    return arms(rest) if rest else None


def arms(compared: Sequence[Comparison]) -> Html:
    """Any arms, one a row, with their intervals drawn on one axis."""
    scale = marks.common_scale(compared)
    rows: list[Sequence[object]] = [
        (isolated(c.arm), marks.cell(c), element("span", marks.drawn([(c.arm, c)], scale), cls="one"))
        for c in compared
    ]
    rows.append(("", "", marks.axis(scale)))
    return marks.table(["arm", "gain", ""], rows, cls="ranking arms")
