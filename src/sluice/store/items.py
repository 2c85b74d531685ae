"""Items dropped inside samples: later rules see the sample without them, and so does the output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from sluice.recipe.expression import Rule, fields_of, quote_name
from sluice.recipe.sql import Column as Place
from sluice.recipe.sql import compile_items
from sluice.sample.document import CONTENT
from sluice.store.compact import carriers
from sluice.store.fates import FAILED, Fates, ItemFate, ItemsGone
from sluice.store.rules import View
from sluice.store.table import Table


def drop_items(
    view: View, table: Table, rule: Rule, keep_nulls: bool, fate: ItemFate, connection: Any
) -> tuple[View, ItemsGone]:
    """The view without the items that a rule drops, and which those are, of all samples, with this fate."""
    modality = _modality(rule, table)
    condition = compile_items(rule, view.layout)
    unknown = "FALSE" if keep_nulls else "TRUE"
    view = _with_positions(view, table, modality)
    at = _positions(modality)
    if _is_list(table, modality):
        # Items that were never measured have no condition either; they stay.
        mask = f"list_transform({condition}, lambda gone: coalesce(gone, {unknown}))"
        found = f"list_transform(list_filter(list_zip({at}, {mask}), lambda x: x[2]), lambda x: x[1])"
    else:
        mask = f"coalesce({condition}, {unknown}) AND {at} IS NOT NULL"
        found = f"CASE WHEN {mask} THEN [{at}] END"
    gone = connection.execute(
        f"SELECT ordinal, gone FROM (SELECT ordinal, {found} AS gone FROM {view.relation}) WHERE len(gone) > 0"
    ).fetchall()
    lost = {o: {(modality, int(i)): fate for i in items} for o, items in gone}
    return _cut(view, table, modality, mask), lost


def without(view: View, table: Table, lost: ItemsGone, connection: Any) -> View:
    """The view without some items."""
    for modality in sorted({key[0] for items in lost.values() for key in items}):
        view = _without(view, table, modality, lost, connection)
    return view


def _without(view: View, table: Table, modality: str, lost: ItemsGone, connection: Any) -> View:
    places = [[k for of, k in items if of == modality] for items in lost.values()]
    lists = pa.table(
        {"ordinal": pa.array(lost, pa.int64()), "__lost": pa.array(places, pa.list_(pa.int64()))}
    )
    # A table and not a registered view, which other connections to the database would not see; known by what it
    # holds, so that a question asked again adds none.
    name = f"__lost_{_digest(lists)}"
    connection.register(f"{name}_arrow", lists)
    connection.execute(f"CREATE TABLE IF NOT EXISTS {name} AS SELECT * FROM {name}_arrow")
    connection.unregister(f"{name}_arrow")
    view = _with_positions(view, table, modality)
    at = _positions(modality)
    # A join leaves no order; verdicts are read in that of the samples.
    joined = f"(SELECT * FROM {view.relation} LEFT JOIN {name} USING (ordinal) ORDER BY ordinal)"
    if _is_list(table, modality):
        mask = f"list_transform({at}, lambda place: coalesce(list_contains(__lost, place), FALSE))"
    else:
        mask = f"coalesce(list_contains(__lost, {at}), FALSE)"
    found = _cut(View(joined, view.layout), table, modality, mask)
    return View(f"(SELECT * EXCLUDE (__lost) FROM {found.relation})", found.layout)


def _digest(lists: pa.Table) -> str:
    hasher = xxhash.xxh3_128()
    for column in lists.combine_chunks().columns:
        for buffer in column.chunk(0).buffers() if column.num_chunks else ():
            hasher.update(buffer or b"")
    return hasher.hexdigest()


def _cut(view: View, table: Table, modality: str, mask: str) -> View:
    """The view without the items of a modality for which `mask` is true."""
    positions = _positions(modality)
    columns = [n for n, c in table.columns.items() if c.modality == modality and n in view.layout]
    if _is_list(table, modality):
        cut = "list_transform(list_filter(list_zip({c}, __gone), lambda x: NOT coalesce(x[2], FALSE)), lambda x: x[1])"
    else:
        cut = "CASE WHEN __gone THEN NULL ELSE {c} END"
    replaced = [f"{cut.format(c=quote_name(c))} AS {quote_name(c)}" for c in (*columns, positions)]
    masked = f"(SELECT *, {mask} AS __gone FROM {view.relation})"
    relation = f"(SELECT * EXCLUDE (__gone) REPLACE ({', '.join(replaced)}) FROM {masked})"
    layout: dict[str, Place] = {
        name: replace(place, stored=frozenset()) if name in columns else place
        for name, place in view.layout.items()
    }
    return View(relation, layout)


def take_out(fates: Fates, found: ItemsGone, step: int, connection: Any) -> None:
    """Leave items out of the samples still kept; a sample without content left is dropped by the same step."""
    kept = fates.kept
    lost = {ordinal: items for ordinal, items in found.items() if kept[ordinal]}
    fates.lose(lost)
    fates.empty(_left_empty(connection, fates.dropped_items, list(lost)), step)


def indices(modalities: Sequence[str], lost: Iterable[tuple[str, int]]) -> list[int]:
    """The places, among all items of a sample, of items given by modality and their number in it."""
    places: dict[str, list[int]] = {}
    for i, modality in enumerate(modalities):
        places.setdefault(modality, []).append(i)
    return [places[modality][k] for modality, k in lost]


def _modality(rule: Rule, table: Table) -> str:
    for found in fields_of(rule.expr):
        column = table.columns.get(found.name)
        if column is not None and column.modality is not None:
            return column.modality
    raise AssertionError("a checked drop_items rule looks at an item field")


def _positions(modality: str) -> str:
    return f"__at_{modality}"


def _is_list(table: Table, modality: str) -> bool:
    return table.max_items.get(modality, 0) > 1


def _with_positions(view: View, table: Table, modality: str) -> View:
    """The view with each item's index among the sample's items of the modality, as the source has them."""
    name = _positions(modality)
    if name in view.layout:
        return view
    count = f"len(list_filter(items, lambda i: i.modality = '{modality}'))"
    is_list = _is_list(table, modality)
    made = f"range({count})" if is_list else f"CASE WHEN {count} > 0 THEN 0 END"
    relation = f"(SELECT *, {made} AS {name} FROM {view.relation})"
    return View(relation, {**view.layout, name: Place(name, is_list)})


def _left_empty(connection: Any, dropped: ItemsGone, ordinals: list[int]) -> NDArray[np.int64]:
    """Which of the samples have lost all items of which one must be left."""
    if not ordinals:
        return np.empty(0, np.int64)
    listed = ", ".join(f"'{modality}'" for modality in CONTENT)
    sql = f"SELECT len(list_filter(items, lambda i: i.modality IN ({listed}))) AS n FROM samples"
    content = connection.sql(sql).to_arrow_table().column(0).to_numpy()
    lost = [sum(modality in CONTENT for modality, _ in dropped[o]) for o in ordinals]
    at: NDArray[np.int64] = np.array(ordinals, np.int64)
    found: NDArray[np.int64] = at[np.array(lost) >= content[at]]
    return found


def unreadable_items(connection: Any) -> tuple[ItemsGone, dict[int, str]]:
    """Unreadable items of samples that have others, and why those of them fail that have nothing left to carry them."""
    sql = """
        SELECT ordinal, [i.modality for i in items], [i.name for i in items], notes
        FROM samples WHERE item_errors > 0
    """
    gone: ItemsGone = {}
    lost: dict[int, str] = {}
    for ordinal, modalities, names, notes in connection.execute(sql).fetchall():
        unreadable = {n["item"]: n["reason"] for n in reversed(notes) if n["kind"] == "unreadable"}
        gone[ordinal] = {
            (modalities[i], modalities[:i].count(modalities[i])): ItemFate(-1, FAILED, why)
            for i, why in sorted(unreadable.items())
            if i >= 0
        }
        needed = carriers(modalities, names)
        if needed and all(i in unreadable for i in needed):
            lost[ordinal] = unreadable[needed[0]]
    return gone, lost
