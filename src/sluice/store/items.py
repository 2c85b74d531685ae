"""Items dropped inside samples: later rules see the sample without them, and so does the output."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.recipe.expression import Rule, fields_of, quote_name
from sluice.recipe.sql import Column as Place
from sluice.recipe.sql import compile_items
from sluice.sample import MEDIA_MODALITIES
from sluice.store.fates import ItemsGone
from sluice.store.rules import View
from sluice.store.table import Table

CONTENT = ("text", "image", "video", "audio")
"""Modalities of which a sample must have an item left to be worth keeping."""


def drop_items(
    view: View, table: Table, rule: Rule, keep_nulls: bool, gone_before: ItemsGone, connection: Any
) -> tuple[View, ItemsGone, NDArray[np.int64]]:
    """The view without the items that a rule drops, all items gone by then, and the samples left without content."""
    modality = _modality(rule, table)
    condition = compile_items(rule, view.layout)
    unknown = "FALSE" if keep_nulls else "TRUE"
    columns = [n for n, c in table.columns.items() if c.modality == modality and n in view.layout]
    positions = f"__at_{modality}"
    base = view.relation if positions in view.layout else _with_positions(view, table, modality, positions)
    is_list = table.max_items.get(modality, 0) > 1
    if is_list:
        mask = f"list_transform({condition}, lambda gone: coalesce(gone, {unknown}))"
        # Items that were never measured have no condition either; they stay.
        cut = "list_transform(list_filter(list_zip({c}, __gone), lambda x: NOT coalesce(x[2], FALSE)), lambda x: x[1])"
        found = f"list_transform(list_filter(list_zip({positions}, __gone), lambda x: x[2]), lambda x: x[1])"
    else:
        mask = f"coalesce({condition}, {unknown} AND {positions} IS NOT NULL)"
        cut = "CASE WHEN __gone THEN NULL ELSE {c} END"
        found = f"CASE WHEN __gone AND {positions} IS NOT NULL THEN [{positions}] END"
    masked = f"(SELECT *, {mask} AS __gone FROM {base})"
    gone = connection.execute(
        f"SELECT ordinal, gone FROM (SELECT ordinal, {found} AS gone FROM {masked}) WHERE len(gone) > 0"
    ).fetchall()
    dropped = {o: set(items) for o, items in gone_before.items()}
    for ordinal, indices in gone:
        dropped.setdefault(ordinal, set()).update((modality, int(i)) for i in indices)
    replaced = [f"{cut.format(c=quote_name(c))} AS {quote_name(c)}" for c in (*columns, positions)]
    relation = f"(SELECT * EXCLUDE (__gone) REPLACE ({', '.join(replaced)}) FROM {masked})"
    layout: dict[str, Place] = {
        name: replace(place, stored=frozenset()) if name in columns else place
        for name, place in view.layout.items()
    }
    layout[positions] = Place(positions, is_list)
    empty = _left_empty(table, dropped, [o for o, _ in gone])
    return View(relation, layout), dropped, empty


def _modality(rule: Rule, table: Table) -> str:
    for found in fields_of(rule.expr):
        column = table.columns.get(found.name)
        if column is not None and column.modality is not None:
            return column.modality
    raise AssertionError("a checked drop_items rule looks at an item field")


def _with_positions(view: View, table: Table, modality: str, name: str) -> str:
    """The relation with each item's index among the sample's items of the modality."""
    count = f"len(list_filter(items, lambda i: i.modality = '{modality}'))"
    if table.max_items.get(modality, 0) > 1:
        return f"(SELECT *, range({count}) AS {name} FROM {view.relation})"
    return f"(SELECT *, CASE WHEN {count} > 0 THEN 0 END AS {name} FROM {view.relation})"


def _left_empty(table: Table, dropped: ItemsGone, ordinals: list[int]) -> NDArray[np.int64]:
    empty = []
    for ordinal, row in zip(ordinals, table.rows(ordinals, ["items"]), strict=True):
        content = sum(item["modality"] in CONTENT for item in row["items"])
        if sum(modality in CONTENT for modality, _ in dropped[ordinal]) >= content:
            empty.append(ordinal)
    return np.array(empty, np.int64)


def unreadable_items(connection: Any) -> tuple[ItemsGone, dict[int, str]]:
    """Unreadable items of samples that have others, and why those of them fail that have no medium left."""
    sql = "SELECT ordinal, [i.modality for i in items], notes FROM samples WHERE item_errors > 0"
    gone: ItemsGone = {}
    lost: dict[int, str] = {}
    for ordinal, modalities, notes in connection.execute(sql).fetchall():
        unreadable = {n["item"]: n["reason"] for n in reversed(notes) if n["kind"] == "unreadable"}
        gone[ordinal] = {(modalities[i], modalities[:i].count(modalities[i])) for i in unreadable if i >= 0}
        media = [i for i, modality in enumerate(modalities) if modality in MEDIA_MODALITIES]
        if media and all(i in unreadable for i in media):
            lost[ordinal] = unreadable[media[0]]
    return gone, lost
