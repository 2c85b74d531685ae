"""Fates: what becomes of every sample, decided from columns alone, in as many ways as anyone likes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from sluice.operator import Registry
from sluice.recipe.expression import Rule
from sluice.recipe.steps import Dedup, DropItems, Keep, SampleStep, Step
from sluice.storage import Location
from sluice.store.groups import keep_order, resolve
from sluice.store.items import View, drop_items
from sluice.store.pairs import deduplicator_for, near_pairs
from sluice.store.rules import Verdicts, judge_table, layout_of
from sluice.store.table import Table

KEPT, DROPPED, DUPLICATE, FAILED = range(4)
FATES = ("kept", "dropped", "duplicate", "failed")

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class RuleYield:
    """What one rule did among the samples that did not fail.

    `kept` is left after it and all before it; `first_failing` it was the first to drop; `alone` fail it,
    whatever else; `only_this` fail it and no other rule; `null` had nothing to judge; `absent` of those
    were never measured because an earlier rule had dropped them.
    """

    step: int
    name: str
    rule: str
    kept: int
    first_failing: int
    alone: int
    only_this: int
    null: int
    absent: int = 0


@dataclass
class Fates:
    """The outcome for every sample of a table, in its order.

    `fate` holds indices into `FATES`; `step` the recipe step that decided (−1: none); `verdicts` each rule's
    results by step; `duplicate_of` the ordinal of the kept twin (−1) with `score`; `reason` why it failed.
    """

    fate: NDArray[np.uint8]
    step: NDArray[np.int16]
    duplicate_of: NDArray[np.int64]
    score: NDArray[np.float32]
    reason: list[str | None]
    verdicts: dict[int, Verdicts] = field(default_factory=dict)
    keep_nulls: dict[int, bool] = field(default_factory=dict)
    yields: list[RuleYield] = field(default_factory=list)
    never_compared: int = 0
    dropped_items: dict[int, set[tuple[str, int]]] = field(default_factory=dict)
    """By ordinal the items that `drop_items` steps removed: (modality, index among the sample's items of it)."""

    @property
    def kept(self) -> Mask:
        """Which samples are kept."""
        kept: Mask = self.fate == KEPT
        return kept

    def counts(self) -> dict[str, int]:
        """How many samples have each fate, and how many were read: the equation of conservation."""
        found = np.bincount(self.fate, minlength=len(FATES))
        return {"read": len(self.fate), **{name: int(found[i]) for i, name in enumerate(FATES)}}

    def fails(self, step: int) -> Mask:
        """Which samples fail one rule (a null counts as the rule's `nulls` says)."""
        verdict = self.verdicts[step]
        failing: Mask = (verdict == 0) | ((verdict == -1) & (not self.keep_nulls[step]))
        return failing


def step_name(number: int, step: Step) -> str:
    """The name under which a step's drops are counted: its own, else its rule or what it does."""
    name = getattr(step, "name", None)
    if name:
        return str(name)
    if isinstance(step, Keep | DropItems):
        return step.rule
    if isinstance(step, Dedup):
        return f"dedup by {step.by}"
    if isinstance(step, SampleStep):
        return f"sample {step.fraction or step.count}"
    return f"step {number + 1}"


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
    fates = _start(table, item_errors)
    connection = table.connect()
    view = View("samples", layout_of(table))
    for number, step in enumerate(steps[:upto]):
        if isinstance(step, Keep):
            # Rules that see the same items are judged in one query.
            if number not in fates.verdicts:
                waiting = _same_view(steps[:upto], number)
                found = judge_table(connection, view.relation, [rules[n] for n in waiting], view.layout)
                fates.verdicts |= dict(zip(waiting, found, strict=True))
            fates.keep_nulls[number] = step.nulls == "keep"
            _drop(fates, fates.kept & fates.fails(number), number, DROPPED)
        elif isinstance(step, DropItems):
            view, empty = drop_items(view, table, rules[number], step.nulls == "keep", connection)
            left = np.zeros(len(table), bool)
            left[empty] = True
            _drop(fates, left & fates.kept, number, DROPPED)
        elif isinstance(step, Dedup):
            _deduplicate(fates, table, number, step, registry, store, connection, compare)
        elif isinstance(step, SampleStep):
            _drop(fates, fates.kept & ~_sampled(table, step, fates.kept), number, DROPPED)
    fates.dropped_items = view.dropped
    fates.yields = _yields(steps, fates)
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


def _start(table: Table, item_errors: str) -> Fates:
    n = len(table)
    names = ["failure", "item_errors"]
    pieces = [pq.read_table(path, columns=names) for path in table.paths()]
    fate = np.full(n, KEPT, np.uint8)
    reason: list[str | None] = [None] * n
    if pieces:
        both = pa.concat_tables(pieces)
        failed = both.column("failure").is_valid().to_numpy()
        for ordinal in np.flatnonzero(failed):
            reason[ordinal] = both.column("failure")[int(ordinal)].as_py()
        if item_errors == "fail":
            partly = (both.column("item_errors").to_numpy() > 0) & ~failed
            for ordinal in np.flatnonzero(partly):
                reason[ordinal] = "an item is unreadable"
            failed = failed | partly
        fate[failed] = FAILED
    none = np.full(n, -1, np.int64)
    return Fates(fate, np.full(n, -1, np.int16), none, np.full(n, np.nan, np.float32), reason)


def _drop(fates: Fates, which: Mask, step: int, fate: int) -> None:
    fates.fate[which] = fate
    fates.step[which] = step


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
    _drop(fates, twins, number, DUPLICATE)
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


def _yields(steps: Sequence[Step], fates: Fates) -> list[RuleYield]:
    judged = fates.fate != FAILED
    failing = {n: fates.fails(n) & judged for n in fates.verdicts}
    failures = np.zeros(len(fates.fate), np.int16)
    for mask in failing.values():
        failures += mask
    left = int(judged.sum())
    found = []
    for number, step in enumerate(steps):
        dropped_here = int((fates.step == number).sum())
        left -= dropped_here
        name = step_name(number, step)
        if isinstance(step, Keep) and number in failing:
            nulls = (fates.verdicts[number] == -1) & judged
            alone, only = int(failing[number].sum()), int((failing[number] & (failures == 1)).sum())
            text = step.rule if isinstance(step, Keep) else name
            found.append(RuleYield(number, name, text, left, dropped_here, alone, only, int(nulls.sum())))
        elif isinstance(step, Dedup | SampleStep | DropItems):
            found.append(RuleYield(number, name, name, left, dropped_here, dropped_here, dropped_here, 0))
    return found
