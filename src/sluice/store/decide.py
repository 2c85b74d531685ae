"""Decides what becomes of every sample, from columns alone, in as many ways as anyone likes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sluice.operator import Registry
from sluice.recipe.check import FieldType
from sluice.recipe.expression import Rule, fields_of, quote_name
from sluice.recipe.selectors import Selector
from sluice.recipe.steps import Dedup, DropItems, Keep, Step
from sluice.storage import Location
from sluice.store.choose import chosen
from sluice.store.duplicates import deduplicate
from sluice.store.fates import DROPPED, Fates, ItemFate, yields_of
from sluice.store.items import drop_items, take_out, unreadable_items, without
from sluice.store.rules import ABSENT, NULL, judge_table, view_of
from sluice.store.table import Table


def decide(
    table: Table,
    steps: Sequence[Step],
    rules: Mapping[int, Rule],
    registry: Registry,
    store: Location,
    *,
    fields: Mapping[str, FieldType] | None = None,
    item_errors: str = "drop_item",
    upto: int | None = None,
    compare: bool = True,
) -> Fates:
    """The fates of a table's samples under these steps (their first `upto`), in order.

    Rules are evaluated for every sample, so that all failing ones are known, not only the first; `fields` are
    the types by which they were checked (default: as stored). With `compare=False` duplicates are resolved
    among stored pairs only, and samples that were never compared are counted instead (`never_compared`).
    """
    connection = table.connect()
    fates = _start(connection, len(table), item_errors)
    view = view_of(table, rules.values(), fields or {})
    if fates.dropped_items:
        # What a header said of an unreadable image is nothing that a rule may count.
        view = without(view, table, fates.dropped_items, connection)
    for number, step in enumerate(steps[:upto]):
        if isinstance(step, Keep):
            # Rules that see the same items are judged in one query.
            if number not in fates.verdicts:
                waiting = _same_view(steps[:upto], number)
                judged = judge_table(connection, view.relation, [rules[n] for n in waiting], view.layout)
                fates.verdicts |= dict(zip(waiting, judged, strict=True))
                fates.views |= dict.fromkeys(waiting, view)
            fates.keep_nulls[number] = step.nulls == "keep"
            _mark_absent(fates, table, number, rules[number], connection)
            fates.set(fates.kept & fates.fails(number), number, DROPPED)
        elif isinstance(step, DropItems):
            nulls, fate = step.nulls == "keep", ItemFate(number, DROPPED)
            view, lost = drop_items(view, table, rules[number], nulls, fate, connection)
            take_out(fates, lost, number, connection)
        elif isinstance(step, Dedup):
            lost = deduplicate(fates, table, number, step, registry, store, connection, compare)
            if lost:
                view = without(view, table, lost, connection)
                take_out(fates, lost, number, connection)
        elif isinstance(step, Selector):
            fates.set(fates.kept & ~chosen(step, table, fates.kept), number, DROPPED)
    fates.yields = yields_of(steps, fates)
    return fates


def _mark_absent(fates: Fates, table: Table, number: int, rule: Rule, connection: Any) -> None:
    """A null over a field that was never measured is no verdict; of samples still kept that is counted."""
    names = {found.name for found in fields_of(rule.expr)}
    for name in sorted(n for n in names if n in table.columns and table.columns[n].absent):
        sql = f"SELECT {quote_name(name + '__absent')} AS absent FROM samples"
        absent = connection.sql(sql).to_arrow_table().column(0).to_numpy()
        verdict = fates.verdicts[number].copy()
        unknown = absent & (verdict == NULL)
        waiting = int((unknown & fates.kept).sum())
        if waiting:
            fates.never_measured[name] = fates.never_measured.get(name, 0) + waiting
        verdict[unknown & ~fates.kept] = ABSENT
        fates.verdicts[number] = verdict


def _same_view(steps: Sequence[Step], start: int) -> list[int]:
    """The rules from `start` on that are judged before the next step that drops items."""
    found = []
    for number in range(start, len(steps)):
        if steps[number].drops_items:
            break
        if isinstance(steps[number], Keep):
            found.append(number)
    return found


def _start(connection: Any, count: int, item_errors: str) -> Fates:
    """The samples that fail whatever the rules say; all others are kept so far."""
    fates = Fates.all_kept(count)
    if not count:
        return fates
    sql = "SELECT ordinal, failure FROM samples WHERE failure IS NOT NULL"
    for ordinal, reason in connection.execute(sql).fetchall():
        fates.fail(ordinal, reason)
    if item_errors == "drop_item":
        fates.dropped_items, lost = unreadable_items(connection)
        for ordinal, reason in lost.items():
            fates.fail(ordinal, reason)
    elif item_errors == "fail":
        sql = "SELECT ordinal, notes FROM samples WHERE item_errors > 0"
        for ordinal, notes in connection.execute(sql).fetchall():
            fates.fail(ordinal, next(n["reason"] for n in notes if n["kind"] == "unreadable"))
    return fates
