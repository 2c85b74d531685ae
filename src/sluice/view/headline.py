"""The top of the report: what went in, what came out, and which rule took what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluice.view import chart, number
from sluice.view.html import Html, element, isolated, join
from sluice.view.source import RunLike, rows, yields

FATES = (("kept", "kept"), ("dropped", "dropped"), ("duplicate", "duplicates"), ("failed", "failed"))
"""The fates with the words for many of them, in the order they are shown."""
PARENT_FATES = (("split", "split"), ("childless", "childless"), ("failed", "failed"))
"""The same of samples that a splitter took apart."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One narrowing of the stream: its name, what it is (a class of the style sheet) and how many it took."""

    name: str
    text: str
    cls: str
    removed: int
    anchor: str | None = None


def headline(run: RunLike) -> Html:
    """The counts in large, the equation that they conserve, and what it took."""
    s = run.summary
    cards = [_card(fate, words, int(s[fate]), int(s["read"])) for fate, words in FATES]
    parts = [(fate, float(s[fate]), f"{number.count(s[fate])} {words}") for fate, words in FATES]
    return element(
        "header",
        element("p", "Curation report", cls="kicker"),
        element("h1", isolated(run.name)),
        element("p", _lead(s), cls="lead"),
        chart.stacked_bar(parts, float(s["read"]), "share of each fate"),
        element("dl", *cards, cls="cards"),
        _equations(s),
        _facts(run),
        cls="top",
    )


def _lead(s: Mapping[str, Any]) -> Html:
    kept = element("strong", number.count(s["kept"]), cls="ink-kept")
    split = next((level for level in s.get("levels") or () if "childless" in level), None)
    read = element("strong", number.count(s["read"]))
    if split is not None:
        return join(number.count(split["read"]), " samples in, split into ", read, "; ", kept, " kept.")
    return join(read, " samples in, ", kept, " kept.")


def _card(fate: str, words: str, n: int, read: int) -> Html:
    return element(
        "div",
        element("dt", words),
        element("dd", number.count(n), element("small", number.share(n, read))),
        cls=f"card {fate}",
    )


def _equations(s: Mapping[str, Any]) -> Html:
    """Conservation, per level, checked here again rather than believed."""
    lines = [_equation("", s)]
    for level in s.get("levels") or ():
        if isinstance(level, Mapping) and {"read", "failed"} <= level.keys():
            lines.append(_equation(str(level.get("level") or level.get("name") or "level"), level))
    return join(*lines)


def _equation(level: str, s: Mapping[str, Any]) -> Html:
    fates = PARENT_FATES if "childless" in s else FATES
    terms = [(words, int(s.get(fate, 0))) for fate, words in fates]
    holds = int(s["read"]) == sum(n for _, n in terms)
    right = " + ".join(f"{number.count(n)} {words}" for words, n in terms)
    mark = element("span", "✓ nothing lost" if holds else "✗ does not add up", cls="ok" if holds else "wrong")
    prefix = f"{level}: " if level else ""
    return element("p", f"{prefix}{number.count(s['read'])} read = {right} ", mark, cls="equation")


def _facts(run: RunLike) -> Html:
    s = run.summary
    found = rows(
        run,
        """SELECT coalesce(sum(size_bytes), 0)::DOUBLE AS read_bytes,
               coalesce(sum(size_bytes) FILTER (fate = 'kept'), 0)::DOUBLE AS kept_bytes
           FROM (SELECT ordinal, size_bytes FROM samples)
           JOIN (SELECT ordinal, fate FROM fates) USING (ordinal)""",
    )[0]
    facts = [("read", number.size(found["read_bytes"])), ("kept", number.size(found["kept_bytes"]))]
    if s.get("seconds") is not None:
        facts.append(("time", number.duration(s["seconds"])))
    if s.get("items_per_second"):
        facts.append(("speed", f"{number.short(s['items_per_second'])} samples/s"))
    if s.get("peak_rss_mb"):
        facts.append(("peak memory", number.size(s["peak_rss_mb"] * 1e6)))
    if s.get("output"):
        facts.append(("written to", str(s["output"])))
    shown = (element("div", element("dt", name), element("dd", isolated(value))) for name, value in facts)
    return element("dl", *shown, cls="facts")


def gates(run: RunLike, dedup_rules: Sequence[str]) -> list[Gate]:
    """Everything that took samples out, in order; together they take read − kept."""
    s = run.summary
    texts = {r.name: (i, r.text) for i, r in enumerate(run.rules)}
    found = (
        [Gate("could not be read or measured", "", "failed", int(s["failed"]), "failures")]
        if s["failed"]
        else []
    )
    for y in yields(s) or [{"name": r, "first_failing": n} for r, n in (s.get("by_rule") or {}).items()]:
        index, text = texts.get(y["name"], (None, ""))
        duplicating = y["name"] in dedup_rules
        anchor = "duplicates" if duplicating else f"rule-{index}" if index is not None else None
        found.append(
            Gate(y["name"], text, "duplicate" if duplicating else "dropped", int(y["first_failing"]), anchor)
        )
    for fate in ("dropped", "duplicate"):
        missing = int(s[fate]) - sum(g.removed for g in found if g.cls == fate)
        if missing > 0:
            found.append(Gate("duplicates" if fate == "duplicate" else "other steps", "", fate, missing))
    return found


def waterfall(start: int, found: Sequence[Gate]) -> Html:
    """The stream of samples, narrower after every gate."""
    items = [_stage(start, start, None)]
    for gate, (before, after) in zip(
        found, chart.waterfall_widths(start, [g.removed for g in found]), strict=True
    ):
        items.append(_stage(start, before, gate))
        last = after
    if found:
        items.append(_stage(start, last, None, last=True))
    return element("ol", *items, cls="flow")


def _stage(start: int, before: int, gate: Gate | None, last: bool = False) -> Html:
    removed = gate.removed if gate else 0
    after = before - removed
    name: Any = gate.name if gate else "kept" if last else "read"
    label = element("a", isolated(name), href=f"#{gate.anchor}") if gate and gate.anchor else isolated(name)
    taken = f"−{number.count(removed)}" if removed else "0" if gate else ""
    parts = [("kept", float(after), f"{number.count(after)} go on")]
    if gate:
        parts.append((gate.cls, float(removed), f"{number.count(removed)} removed by {gate.name}"))
    return element(
        "li",
        element("span", label, cls="name"),
        chart.stacked_bar(parts, float(start), f"{number.count(after)} of {number.count(start)} left"),
        element("span", taken, cls="taken" if removed else "taken none"),
        element("span", number.count(after), cls="left"),
        cls="edge" if gate is None else None,
    )


_COLUMNS = (
    ("kept", "left", "samples left after it and all before it"),
    ("first_failing", "drops first", "samples for which it is the first rule that fails"),
    ("alone", "alone", "samples it would drop if it were the only rule"),
    ("only_this", "only this", "samples that no other rule would drop"),
    ("null", "null", "samples for which it has no value to judge"),
)


def yield_table(run: RunLike) -> Html | None:
    """What each rule does, alone and among the others."""
    found = yields(run.summary)
    if not found:
        return None
    texts = {r.name: r.text for r in run.rules}
    head = [element("th", "rule", scope="col")]
    head += [element("th", title, scope="col", title=why, cls="num") for _, title, why in _COLUMNS]
    body = [
        element("tr", _rule_cell(y["name"], texts.get(y["name"], "")), *map(_cell, _values(y))) for y in found
    ]
    table = element("table", element("thead", element("tr", *head)), element("tbody", *body), cls="yield")
    notes = "; ".join(f"{title}: {why}" for _, title, why in _COLUMNS)
    return join(element("div", table, cls="scroll"), element("p", f"{notes}.", cls="note"))


def _values(y: Mapping[str, Any]) -> list[Any]:
    return [y.get(name) for name, _, _ in _COLUMNS]


def _cell(value: Any) -> Html:
    return element("td", "–" if value is None else number.count(value), cls="num" if value else "num faint")


def _rule_cell(name: str, text: str) -> Html:
    code = element("code", isolated(text)) if text not in ("", "dedup", name) else None
    return element("th", isolated(name), code, scope="row")
