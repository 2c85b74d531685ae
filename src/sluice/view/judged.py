"""One panel a rule: how its field is spread, where the cut lies, and what fell just on each side of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sluice.view import bins, chart, number, picks
from sluice.view.html import Html, element, isolated, join
from sluice.view.picks import Pick
from sluice.view.source import AtomLike, FieldInfo, FieldLike, RuleLike, RunLike, cuts, yields
from sluice.view.tiles import Tiles, shown_value

EACH_SIDE = 6
"""Thumbnails on each side of a cut."""
MOST_ATOMS = 24
"""Cuts that get thumbnails; a recipe of more keeps its histograms."""


def legend() -> Html:
    """The colours of all histograms, once."""
    marks = (("kept", "kept"), ("here", "removed by this rule"), ("elsewhere", "removed by something else"))
    shown = [element("span", element("i", cls=f"swatch {cls}"), text) for cls, text in marks]
    return element("p", *shown, cls="legend")


def panels(run: RunLike, tiles: Tiles, types: Mapping[str, str]) -> Html:
    """The panels of all rules that compare a field."""
    found = {y["name"]: y for y in yields(run.summary)}
    histograms = _histograms(run, types)
    made, left = [], MOST_ATOMS
    for index, rule in enumerate(run.rules):
        if not rule.atoms:
            continue
        fields = [
            _field(run, tiles, types, rule, name, atoms, histograms.get((rule.name, name)), left > 0)
            for name, atoms in _by_field(rule.atoms).items()
        ]
        text = element("code", isolated(rule.text)) if rule.text != rule.name else None
        head = join(element("h3", isolated(rule.name)), text, _effect(found.get(rule.name)))
        made.append(element("article", head, *fields, id=f"rule-{index}"))
        left -= len(rule.atoms)
    return join(*made)


def _histograms(run: RunLike, types: Mapping[str, str]) -> dict[tuple[str, str], bins.Histogram | None]:
    wanted = [
        bins.Wanted(name, types[name], rule.name, tuple(atoms))
        for rule in run.rules
        for name, atoms in _by_field(rule.atoms).items()
        if name in types and not _is_word(types[name])
    ]
    made = bins.histograms(run, wanted)
    return {(w.rule, w.field): found for w, found in zip(wanted, made, strict=True)}


def _is_word(column_type: str) -> bool:
    return column_type.removesuffix("[]") in ("VARCHAR", "BOOLEAN")


def _by_field(atoms: Iterable[AtomLike]) -> dict[str, list[AtomLike]]:
    found: dict[str, list[AtomLike]] = {}
    for atom in atoms:
        if atom.field:
            found.setdefault(atom.field, []).append(atom)
    return found


def _effect(found: Mapping[str, Any] | None) -> Html | None:
    if found is None:
        return None
    first, alone, only = (int(found.get(k) or 0) for k in ("first_failing", "alone", "only_this"))
    if not alone:
        return element("p", "Everything passes this rule.", cls="effect")
    text = f"Drops {number.count(first)} first; alone it would drop {number.count(alone)}; "
    text += f"{number.count(only)} would be kept without it."
    if found.get("null"):
        text += f" {number.count(found['null'])} had no value to judge."
    return element("p", text, cls="effect")


def _field(
    run: RunLike, tiles: Tiles, types: Mapping[str, str], rule: RuleLike,
    name: str, atoms: list[AtomLike], found: bins.Histogram | None, with_tiles: bool,
) -> Html:  # fmt: skip
    info = run.fields.get(name) or FieldInfo()
    kind = types.get(name)
    unit = f" ({info.unit})" if info.unit else ""
    hint = f" · higher is {info.higher_is}" if info.higher_is not in ("", "higher") else ""
    head = element("h4", isolated(name), element("small", f"{unit}{hint}"))
    if kind is None:
        return join(head, element("p", "This field was not measured in this run.", cls="note"))
    if _is_word(kind):
        return join(head, _categories(run, name, rule))
    strips = [_sides(run, tiles, atom, info) for atom in atoms] if with_tiles else []
    return join(head, _histogram(found, name, rule, atoms, info), *strips)


def _histogram(
    found: bins.Histogram | None, name: str, rule: RuleLike, atoms: list[AtomLike], info: FieldLike
) -> Html:
    if found is None:
        return element("p", "No sample has a value.", cls="note")
    plain = not any(word in rule.text.lower().split() for word in ("or", "not"))
    label = f"Histogram of {name} over {number.count(sum(b.total for b in found.bins))} values"
    notes = []
    if found.scale.log:
        notes.append("logarithmic axis")
    if found.zero and not found.scale.log:
        notes.append(
            f"{number.count(found.zero.total)} are exactly 0: a bar of its own"
            + (", cut off" if chart.cut_off(found) else "")
        )
    if found.below:
        notes.append(f"{number.count(found.below)} lower values are counted in the first bar")
    if found.above:
        notes.append(f"{number.count(found.above)} higher values are counted in the last bar")
    if found.nulls:
        notes.append(f"{number.count(found.nulls)} without a value")
    note = element("p", "; ".join(notes) + ".", cls="note") if notes else None
    figure = element("div", chart.histogram_chart(found, cuts(atoms), info.unit, plain, label), cls="plot")
    return join(figure, note)


def _categories(run: RunLike, name: str, rule: RuleLike) -> Html:
    found = bins.categories(run, name, rule.name)
    peak = max((c.total for c in found), default=1)
    body = []
    for c in found:
        parts = [("kept", c.kept, "kept"), ("here", c.here, "removed by this rule"),
                 ("elsewhere", c.elsewhere, "removed elsewhere")]  # fmt: skip
        titled = [(cls, float(n), f"{number.count(n)} {what}") for cls, n, what in parts]
        bar = chart.stacked_bar(titled, float(peak), f"{c.value}: {number.count(c.total)}")
        cells = (element("th", isolated(c.value), scope="row"), element("td", bar, cls="wide"))
        body.append(element("tr", *cells, element("td", number.count(c.total), cls="num")))
    return element("table", element("tbody", *body), cls="bars")


def _sides(run: RunLike, tiles: Tiles, atom: AtomLike, info: FieldLike) -> Html | None:
    """The strip around one cut, in the direction of the histogram's axis."""
    fails, passes = picks.near_cut(run, atom, EACH_SIDE)
    if not fails and not passes:
        return None
    fail_side = _side(tiles, fails, info, "fails", "just failed")
    pass_side = _side(tiles, passes, info, "passes", "just passed")
    # The style sheet fills the left side from the right, so that the closest stand next to the cut on both.
    sides = (fail_side, pass_side) if atom.op in (">=", ">") else (pass_side, fail_side)
    return element("div", *sides, cls="sides")


def _side(tiles: Tiles, found: list[Pick], info: FieldLike, cls: str, title: str) -> Html:
    shown = [tiles.tile(p, shown_value(p.value), cls=p.fate) for p in found]
    body = element("div", *shown, cls="tiles") if shown else element("p", "none", cls="note")
    return element("section", element("h5", title), body, cls=f"side {cls}")
