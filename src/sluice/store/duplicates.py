"""Carries out one `dedup` step: compares what is left, and decides who stands for whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.errors import PlanError
from sluice.operator import Registry
from sluice.plan.dedup import CENTROID, deduplicator_for
from sluice.recipe.steps import Dedup
from sluice.storage import Location
from sluice.store.entries import Entries
from sluice.store.fates import DUPLICATE, Fates, ItemFate, ItemsGone, step_name
from sluice.store.groups import Groups, keep_order, resolve
from sluice.store.item_groups import duplicate_items, resolve_items
from sluice.store.pairs import Compared, centroid_cosines_of, near_pairs
from sluice.store.ranks import ranked
from sluice.store.table import Table


def deduplicate(
    fates: Fates,
    table: Table,
    number: int,
    step: Dedup,
    registry: Registry,
    store: Location,
    connection: Any,
    compute: bool,
) -> ItemsGone:
    """Give the duplicates among the samples still kept their fate, and note how they were found.

    Returns the items that the step drops inside samples; none where it drops samples. With `compute=False`
    stored pairs must do; samples that no stored comparison looked at are counted.
    """
    column = table.columns.get(step.by)
    _check_level(table, step)
    instance = deduplicator_for(step, column.kind if column is not None else "text", registry)
    entries = Entries.of(table, step.by)
    alive = fates.kept
    part = entries.part(alive, fates.dropped_items)
    found = near_pairs(entries, part, instance, store, compute=compute)
    unseen = len(np.unique(entries.samples[part & ~found.entries]))
    fates.never_compared += unseen
    order = _order(table, step, connection, entries, part, found, instance)
    lost: ItemsGone = {}
    if step.drops_items:
        holders = duplicate_items(found.pairs, entries.samples, part, order, step.semantics)
        lost = _lost(entries, holders, number)
    else:
        groups = _resolved(step, entries, part, found, order, alive)
        twins = groups.duplicate_of >= 0
        fates.set(twins, number, DUPLICATE)
        fates.duplicate_of[twins] = groups.duplicate_of[twins]
        fates.score[twins] = groups.score[twins]
    fates.comparisons.append(
        {
            "step": number,
            "name": step_name(number, step),
            "by": step.by,
            "values": int(part.sum()),
            "without_value": int((alive & ~np.isin(np.arange(len(alive)), entries.samples[part])).sum()),
            "unmatched": found.pairs.unmatched,
            "pairs": len(found.pairs),
            "stored_down_to": found.pairs.bound,
            "never_compared": unseen,
            **found.pairs.facts,
        }
    )
    return lost


def _lost(entries: Entries, holders: NDArray[np.int64], number: int) -> ItemsGone:
    """Items by the samples that hold what they are duplicates of, as items that a step drops."""
    table = entries.table
    modality = table.columns[entries.column].modality or ""
    items = np.flatnonzero(holders >= 0)
    named = np.unique(holders[items])
    keys = table.take(named, ["key"]).column("key").to_pylist() if len(named) else []
    fates = [ItemFate(number, DUPLICATE, f"like an item of {key!r}") for key in keys]
    lost: ItemsGone = {}
    for item, twin in zip(items.tolist(), np.searchsorted(named, holders[items]).tolist(), strict=True):
        place = (modality, int(entries.items[item]))
        lost.setdefault(int(entries.samples[item]), {})[place] = fates[twin]
    return lost


def _check_level(table: Table, step: Dedup) -> None:
    column = table.columns.get(step.by)
    several = table.max_items.get(column.modality, 0) if column is not None and column.modality else 0
    if step.level == "sample" and several > 1:
        assert column is not None
        raise PlanError(
            f"samples have up to {several} {column.modality} items each; `dedup` by {step.by!r} compares "
            "samples with one",
            where=str(step.at),
            fix="add level: item to drop the items that other samples have (with drop_sample_above: the samples"
            " with too many of them), or deduplicate by a sample-level column",
        )


def _resolved(
    step: Dedup,
    entries: Entries,
    part: NDArray[np.bool_],
    found: Compared,
    order: NDArray[np.int64],
    alive: NDArray[np.bool_],
) -> Groups:
    if step.level == "item":
        above = step.drop_sample_above
        assert above is not None
        return resolve_items(found.pairs, entries.samples, part, order, above, step.semantics, among=alive)
    pairs = replace(found.pairs, a=entries.samples[found.pairs.a], b=entries.samples[found.pairs.b])
    # Without its item a sample has nothing that others could duplicate.
    among = alive.copy()
    among[entries.samples[~part]] = False
    return resolve(len(alive), pairs, order, step.semantics, among=among)


def _order(
    table: Table,
    step: Dedup,
    connection: Any,
    entries: Entries,
    part: NDArray[np.bool_],
    found: Compared,
    instance: Any,
) -> NDArray[np.int64]:
    """Rank of every sample by the step's keep policy, 0 the most preferred."""
    if step.keep_by == "first":
        return np.arange(len(table))
    level = np.zeros(len(table), np.int64)  # no source order: of equal ones the lower id stays
    if step.keep_by in CENTROID:
        cosines = np.full(len(table), np.nan, np.float32)
        cosines[entries.samples] = centroid_cosines_of(entries, part, found, instance)
        ids = connection.sql("SELECT id FROM samples").to_arrow_table().column(0)
        way = "asc" if step.keep_by == "centroid_far" else "desc"
        return keep_order({"cosine": cosines}, ids, f"cosine {way}", source=level)
    return ranked(table, step.keep_by)
