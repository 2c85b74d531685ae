"""Which documents are worth reading: some that lost items, some that were dropped, a few that are whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from sluice.sample.document import is_document
from sluice.view import picks
from sluice.view.source import RunLike, column_types, quoted, rows


@dataclass(frozen=True, slots=True)
class Lost:
    """What befell an item inside a document: `rule` is empty where the item is unreadable."""

    rule: str
    fate: str
    reason: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document to show: its fate, the items that it lost by their index, and values of fields by name."""

    ordinal: int
    key: str
    fate: str
    rule: str
    reason: str
    modalities: tuple[str, ...]
    lost: Mapping[int, Lost] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    twin: str = ""

    def value(self, name: str, item: int) -> Any:
        """The value of an item's field: the k-th of its list where the item is the k-th of its modality."""
        found = self.values.get(name)
        if not isinstance(found, list):
            return found
        k = self.modalities[:item].count(self.modalities[item])
        return found[k] if k < len(found) else None


@dataclass(frozen=True, slots=True)
class Shelf:
    """Documents that shared a lot: how many there are, and those to show."""

    title: str
    total: int
    documents: tuple[Document, ...]


_LOST, _DROPPED, _WHOLE = 4, 4, 2
"""Documents shown of each lot."""


def shelves(run: RunLike, seed: int = 0) -> list[Shelf]:
    """The lots that have documents to show, the same whenever the run is; none where samples are no documents."""
    known = column_types(run)
    if "items" not in known:
        return []
    columns = rows(run, "SELECT column_name FROM (DESCRIBE SELECT * FROM fates)")
    told = any(row["column_name"] == "items_dropped" for row in columns)
    thinned = "coalesce(len(items_dropped), 0) > 0" if told else "FALSE"
    lots = (
        ("Kept without some of their items", f"fate = 'kept' AND {thinned}", _LOST, "items_dropped[1].rule"),
        ("Dropped", "fate IN ('dropped', 'duplicate')", _DROPPED, "rule"),
        ("Kept whole", f"fate = 'kept' AND NOT ({thinned})", _WHOLE, "NULL"),
    )
    found = []
    for title, condition, most, by in lots:
        total, chosen = _chosen(run, condition, by if told or by != lots[0][3] else "NULL", most, seed)
        documents = _described(run, chosen, known, told)
        if documents:
            found.append(Shelf(title, total, tuple(documents[:most])))
    return found


def _chosen(run: RunLike, condition: str, by: str, most: int, seed: int) -> tuple[int, list[int]]:
    """How many samples meet a condition, and a few, drawn by lot in turn from those of each rule."""
    found = rows(
        run,
        f"""SELECT count(*) AS total, min_by(ordinal, hash(ordinal + {int(seed)}), {int(most)}) AS chosen
            FROM fates WHERE {condition} GROUP BY {by} ORDER BY min(ordinal)""",
    )
    turns = zip_longest(*(row["chosen"] for row in found))
    return sum(row["total"] for row in found), [o for turn in turns for o in turn if o is not None]


def _described(run: RunLike, ordinals: Sequence[int], known: Mapping[str, str], told: bool) -> list[Document]:
    """Of these samples the documents, in this order, with what is to be said of them."""
    if not ordinals:
        return []
    listed = ", ".join(map(str, ordinals))
    items = rows(
        run,
        f"""SELECT ordinal, key, [i.modality for i in items] AS modalities, [i.name for i in items] AS names
            FROM samples WHERE ordinal IN ({listed})""",
    )
    items = [row for row in items if is_document(row["modalities"], [n or "" for n in row["names"]])]
    if not items:
        return []
    dropped = "items_dropped" if told else "NULL"
    fates = rows(
        run,
        f"""SELECT ordinal, fate, rule, reason, duplicate_of, {dropped} AS lost
            FROM fates WHERE ordinal IN ({listed})""",
    )
    decided = {row["ordinal"]: row for row in fates}
    values = _values(run, [row["ordinal"] for row in items], decided.values(), known)
    twins = {p.ordinal: p.key for p in picks.described(run, _numbers(r["duplicate_of"] for r in fates))}
    made = {row["ordinal"]: _document(row, decided[row["ordinal"]], values, twins) for row in items}
    return [made[ordinal] for ordinal in ordinals if ordinal in made]


def _document(
    row: Mapping[str, Any],
    decided: Mapping[str, Any],
    values: Mapping[int, Mapping[str, Any]],
    twins: Mapping[int, str],
) -> Document:
    lost = {
        each["item"]: Lost(each["rule"] or "", each["fate"], each["reason"] or "")
        for each in decided["lost"] or ()
    }
    return Document(
        row["ordinal"],
        row["key"],
        decided["fate"],
        decided["rule"] or "",
        decided["reason"] or "",
        tuple(row["modalities"]),
        lost,
        values.get(row["ordinal"], {}),
        twins.get(decided["duplicate_of"], ""),
    )


def _values(
    run: RunLike, ordinals: Sequence[int], decided: Iterable[Mapping[str, Any]], known: Mapping[str, str]
) -> dict[int, dict[str, Any]]:
    """By sample the values of the fields that the rules look at which had a say."""
    rules = {rule for row in decided for rule in (row["rule"], *(each["rule"] for each in row["lost"] or ()))}
    wanted = dict.fromkeys(name for rule in run.rules if rule.name in rules for name in rule.fields)
    names = [name for name in wanted if name in known and run.fields[name].kind in ("number", "text", "bool")]
    if not names:
        return {}
    columns = ", ".join(map(quoted, names))
    chosen = ", ".join(map(str, ordinals))
    found = rows(run, f"SELECT ordinal, {columns} FROM samples WHERE ordinal IN ({chosen})")
    return {row.pop("ordinal"): row for row in found}


def _numbers(found: Iterable[int | None]) -> list[int]:
    return [number for number in found if number is not None]
