"""Samples to look at: duplicates beside what they duplicate, and a fair draw of what was kept."""

from __future__ import annotations

from collections.abc import Mapping

from sluice.view import number
from sluice.view.html import Html, element, isolated, join
from sluice.view.picks import DuplicateGroup, DuplicateRule, Pick
from sluice.view.tiles import Tiles

GROUPS, EACH_GROUP, KEPT, KEPT_VIDEOS = 8, 3, 24, 12
"""Groups shown a deduplicating step, copies shown a group, kept samples shown, and how many of them may be videos:
three frames of a clip of ten seconds take a quarter of a second to decode."""


def duplicates(found: list[DuplicateRule], tiles: Tiles, how: Mapping[str, str]) -> Html:
    """What was removed as a duplicate, beside what stays; `how` it was found, by the rule's name."""
    return join(*(_rule(rule, tiles, how.get(rule.name, "")) for rule in found))


def _rule(rule: DuplicateRule, tiles: Tiles, how: str) -> Html:
    text = f"{number.count(rule.removed)} removed, copies of {number.count(rule.originals)} others."
    if len(rule.groups) < rule.originals:
        text += f" Shown: {len(rule.groups)} groups, the least alike first."
    groups = (_group(group, rule.by_distance, tiles) for group in rule.groups)
    return element(
        "article",
        element("h3", isolated(rule.name or "duplicates")),
        element("p", text, cls="effect"),
        *([element("p", how, cls="note")] if how else []),
        element("div", *groups, cls="groups"),
    )


def _group(group: DuplicateGroup, by_distance: bool, tiles: Tiles) -> Html:
    # What one step kept, a later one may have removed; the report does not call it kept then.
    word = "kept" if group.original.fate == "kept" else f"stands for them, then {group.original.fate}"
    faces = [tiles.tile(group.original, element("b", word), cls=f"original {group.original.fate}")]
    more = group.size - len(group.removed)
    for place, (pick, score) in enumerate(group.removed, start=1):
        last = more > 0 and place == len(group.removed)
        rest = [element("span", f"and {number.count(more)} more", cls="rest")] if last else []
        faces.append(tiles.tile(pick, _score(score, by_distance), *rest, cls="removed duplicate"))
    return element("div", *faces, cls="group")


def _score(score: float | None, by_distance: bool) -> str:
    if score is None:
        return "duplicate"
    if by_distance:
        return f"distance {number.exact(score)}"
    return "identical" if score >= 1 else f"similarity {score:.3f}"


def kept(found: list[Pick], tiles: Tiles) -> Html:
    """Kept samples with the beginning of their texts."""
    videos = [pick for pick in found if pick.is_video]
    beyond = {pick.ordinal for pick in videos[KEPT_VIDEOS:]}
    shown = (pick for pick in found if pick.ordinal not in beyond)
    return element("div", *(tiles.tile(pick, words=True) for pick in shown), cls="tiles")
