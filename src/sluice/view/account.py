"""The bottom of the report: what failed and why, where the time went, and the lock that repeats the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sluice.view import chart, number
from sluice.view.html import Html, element, isolated, join


def failures(counts: Mapping[str, int], keys: Mapping[str, list[str]]) -> Html:
    """Failed samples by reason, most frequent first, with the keys of the first."""
    head = element(
        "tr",
        *(
            element("th", t, scope="col", cls="num" if t == "samples" else None)
            for t in ("reason", "samples", "keys")
        ),
    )
    body = []
    for reason, n in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0])):
        shown = [element("li", element("code", isolated(k))) for k in keys.get(reason, [])]
        more = n - len(shown)
        if shown and more > 0:
            shown.append(element("li", f"and {number.count(more)} more"))
        cells = element("th", isolated(reason), scope="row"), element("td", number.count(n), cls="num")
        body.append(element("tr", *cells, element("td", element("ul", *shown, cls="keys"))))
    return element(
        "div", element("table", element("thead", head), element("tbody", *body)), cls="scroll failures"
    )


def times(steps: Sequence[Mapping[str, Any]], cost: Sequence[Mapping[str, Any]]) -> Html:
    """Seconds by step (of the clock) and by operator (of all workers together)."""
    parts = []
    if steps:
        parts.append(_time_table("step", [(s["name"], float(s["seconds"]), s.get("items")) for s in steps]))
    if cost:
        ordered = sorted(cost, key=lambda c: -float(c["seconds"]))
        parts.append(
            _time_table("operator", [(c["operator"], float(c["seconds"]), c.get("items")) for c in ordered])
        )
        parts.append(element("p", "Operators: seconds of all workers together.", cls="note"))
    return join(*parts)


def _time_table(what: str, found: list[tuple[str, float, Any]]) -> Html:
    whole = max((seconds for _, seconds, _ in found), default=0.0) or 1.0
    with_items = any(items is not None for _, _, items in found)
    titles = [(what, None), ("", "wide"), ("time", "num")] + ([("items", "num")] if with_items else [])
    head = element(
        "tr", *(element("th", t, scope="col", cls=cls) if t else element("td", cls=cls) for t, cls in titles)
    )
    body = []
    for name, seconds, items in found:
        bar = chart.stacked_bar(
            [("time", seconds, number.duration(seconds))], whole, f"{name}: {number.duration(seconds)}"
        )
        cells = [element("th", isolated(name), scope="row"), element("td", bar, cls="wide"),
                 element("td", number.duration(seconds), cls="num")]  # fmt: skip
        if with_items:
            cells.append(element("td", "–" if items is None else number.count(items), cls="num"))
        body.append(element("tr", *cells))
    return element("table", element("thead", head), element("tbody", *body), cls="bars")


_SPENT = {"_tokens_in": "tokens sent", "_tokens_out": "tokens replied", "_cost_usd": "USD"}


def spending(spent: Mapping[str, float]) -> Html:
    """What was paid for the run's samples, by operator: tokens as the endpoint counts them, and their price."""
    amounts: dict[str, dict[str, float]] = {}
    for column, amount in spent.items():
        tail = next((tail for tail in _SPENT if column.endswith(tail)), "")
        amounts.setdefault(column.removesuffix(tail) if tail else column, {})[tail] = amount
    titles = [("operator", None), *((title, "num") for title in _SPENT.values())]
    head = element("tr", *(element("th", title, scope="col", cls=cls) for title, cls in titles))
    body = []
    for name, found in amounts.items():
        cells = (element("td", _amount(found.get(tail), "cost" in tail), cls="num") for tail in _SPENT)
        body.append(element("tr", element("th", isolated(name), scope="row"), *cells))
    note = "Whichever run paid; a dash: not counted by the endpoint. No reply is paid for twice."
    return join(
        element("table", element("thead", head), element("tbody", *body)), element("p", note, cls="note")
    )


def _amount(amount: float | None, is_money: bool) -> str:
    if amount is None:
        return "–"
    return f"{amount:,.4f}" if is_money else number.count(amount)


def lock(text: str) -> Html:
    """The lock, folded away."""
    lines = text.count("\n") + 1
    summary = element("summary", f"Show the lock ({number.count(lines)} lines)")
    return element("details", summary, element("pre", text, tabindex=0))
