"""Decides what becomes of every sample, from columns alone, in as many ways as anyone likes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from sluice.operator import Registry
from sluice.recipe.expression import Rule
from sluice.recipe.steps import Dedup, DropItems, Keep, SampleStep, Step
from sluice.storage import Location
from sluice.store.fates import DROPPED, DUPLICATE, Fates, Mask, yields_of
from sluice.store.groups import keep_order, resolve
from sluice.store.items import View, drop_items
from sluice.store.pairs import deduplicator_for, near_pairs
from sluice.store.rules import judge_table, layout_of
from sluice.store.table import Table


def decide(
    table: Table,
    steps: Sequence[Step],
    rules: Mapping[int, Rule],
    registry: Registry,
    store: Location,
    *,
    item_errors: str = "drop_item",
    upto: int | None = None,
    compare: bool = True,
) -> Fates:
    """The fates of a table's samples under these steps (their first `upto`), in order.

    Rules are evaluated for every sample, so that all failing ones are known, not only the first. With
    `compare=False` duplicates are resolved among stored pairs only, and samples that were never compared
    are counted instead (`never_compared`).
    """
    connection = table.connect()
    fates = _start(connection, table, item_errors)
    view = View("samples", layout_of(table))
    for number, step in enumerate(steps[:upto]):
        if isinstance(step, Keep):
            # Rules that see the same items are judged in one query.
            if number not in fates.verdicts:
                waiting = _same_view(steps[:upto], number)
                found = judge_table(connection, view.relation, [rules[n] for n in waiting], view.layout)
                fates.verdicts |= dict(zip(waiting, found, strict=True))
            fates.keep_nulls[number] = step.nulls == "keep"
            fates.set(fates.kept & fates.fails(number), number, DROPPED)
        elif isinstance(step, DropItems):
            view, empty = drop_items(view, table, rules[number], step.nulls == "keep", connection)
            left = np.zeros(len(table), bool)
            left[empty] = True
            fates.set(left & fates.kept, number, DROPPED)
        elif isinstance(step, Dedup):
            _deduplicate(fates, table, number, step, registry, store, connection, compare)
        elif isinstance(step, SampleStep):
            fates.set(fates.kept & ~_sampled(table, step, fates.kept), number, DROPPED)
    fates.dropped_items = view.dropped
    fates.yields = yields_of(steps, fates)
    return fates


def _same_view(steps: Sequence[Step], start: int) -> list[int]:
    """The rules from `start` on that are judged before the next step that drops items."""
    found = []
    for number in range(start, len(steps)):
        if isinstance(steps[number], DropItems):
            break
        if isinstance(steps[number], Keep):
            found.append(number)
    return found


def _start(connection: Any, table: Table, item_errors: str) -> Fates:
    """The samples that fail whatever the rules say; all others are kept so far."""
    fates = Fates.all_kept(len(table))
    condition = "failure IS NOT NULL" + (" OR item_errors > 0" if item_errors == "fail" else "")
    sql = f"SELECT ordinal, coalesce(failure, 'an item is unreadable') FROM samples WHERE {condition}"
    for ordinal, reason in connection.execute(sql).fetchall():
        fates.fail(ordinal, reason)
    return fates


def _deduplicate(
    fates: Fates,
    table: Table,
    number: int,
    step: Dedup,
    registry: Registry,
    store: Location,
    connection: Any,
    compare: bool,
) -> None:
    alive = fates.kept
    kind = table.columns[step.by].kind if step.by in table.columns else "text"
    instance = deduplicator_for(step, kind, registry)
    found = near_pairs(table, step, instance, alive, store, compute=compare)
    fates.never_compared += int((alive & ~found.samples).sum())
    order = _order(table, step, connection)
    groups = resolve(len(alive), found.pairs, order, step.semantics, among=alive)
    twins = groups.duplicate_of >= 0
    fates.set(twins, number, DUPLICATE)
    fates.duplicate_of[twins] = groups.duplicate_of[twins]
    fates.score[twins] = groups.score[twins]


def _order(table: Table, step: Dedup, connection: Any) -> NDArray[np.int64]:
    """Rank of every sample by the step's keep policy, 0 the most preferred."""
    layout = layout_of(table)
    if step.keep_by == "first":
        return np.arange(len(table))
    names = [name for name, _ in step.order]
    picked = [f"{layout[name].aggregate('max')} AS f{k}" for k, name in enumerate(names)]
    found = connection.sql(f"SELECT id, {', '.join(picked) or '0 AS none'} FROM samples").to_arrow_table()
    columns = {name: found.column(f"f{k}") for k, name in enumerate(names)}
    return keep_order(columns, found.column("id"), step.keep_by)


def _sampled(table: Table, step: SampleStep, alive: Mask) -> Mask:
    """A seeded part of the samples alive: by the hash of their ids, so that company does not matter."""
    ids = [i for path in table.paths() for i in pq.read_table(path, columns=["id"]).column(0).to_pylist()]
    luck = np.fromiter((xxhash.xxh3_64_intdigest(i, seed=step.seed) for i in ids), np.uint64, len(ids))
    if step.fraction is not None:
        return luck < np.uint64(min(int(step.fraction * 2**64), 2**64 - 1))
    chosen = np.zeros(len(ids), bool)
    candidates = np.flatnonzero(alive)
    chosen[candidates[np.argsort(luck[candidates], kind="stable")[: step.count]]] = True
    return chosen
