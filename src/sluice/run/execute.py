"""Runs a recipe: resolve, measure, decide, pack, write, report; every step resumable, every sample counted."""

from __future__ import annotations

import json
import resource
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice.errors import TooManyFailuresError, UsageError
from sluice.model.keeper import kept, served_device
from sluice.plan import MeasurePass, idle_rules
from sluice.plan.columns import Column
from sluice.recipe.lock import Lock
from sluice.recipe.recipe import Recipe
from sluice.run.declined import declined
from sluice.run.deliver import Delivery, deliver
from sluice.run.engine import Engine
from sluice.run.frames import frames
from sluice.run.measure import MeasureJob, MeasureTask, UnitReport
from sluice.run.pack import fail_twins
from sluice.run.partition import fail_without_partition
from sluice.run.prepare import Prepared
from sluice.run.progress import Progress
from sluice.run.spend import spent
from sluice.run.unknown import unknown_in_output
from sluice.storage import Location
from sluice.store import FATES, Fates, Table, compact, decide, table_digest, write_selection
from sluice.store.parents import write_parents


@dataclass
class Clock:
    """Where the time of a run went: by step, and by operator inside the measuring workers."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    operators: dict[str, float] = field(default_factory=dict)
    peak_rss_mb: float = 0.0
    workers_died: bool = False
    notes: dict[str, int] = field(default_factory=dict)
    """What models and their processes noted, with how often."""
    busy_s: float = 0.0
    """Worker seconds spent measuring, start-up and waiting left out."""
    frames_decoded: int = 0
    """Frames of videos decoded to measure."""
    started: float = field(default_factory=perf_counter)

    def step(self, name: str, started: float, items: int) -> None:
        """Note a finished step."""
        self.steps.append({"name": name, "seconds": round(perf_counter() - started, 3), "items": items})

    def noted(self, notes: Mapping[str, int]) -> None:
        """Add notes."""
        for text, times in notes.items():
            self.notes[text] = self.notes.get(text, 0) + times

    def spent(self, operators: dict[str, float]) -> None:
        """Add seconds by operator."""
        for name, seconds in operators.items():
            self.operators[name] = self.operators.get(name, 0.0) + seconds


@dataclass(frozen=True)
class Options:
    """How a run behaves beyond its recipe."""

    strict: bool = False
    update: bool = False
    quiet: bool = False


def execute(prepared: Prepared, engine: Engine, options: Options) -> dict[str, Any]:
    """Run to the end and return the summary (the document of `sluice run --json`).

    Raises TooManyFailuresError (strict, or more than `max_failed`), InterruptedRunError, StorageError; what
    is committed by then is not done again.
    """
    clock = Clock()
    _claim(prepared, options)
    table, fates = _measure_and_decide(prepared, engine, options, clock)
    fail_without_partition(table, fates, prepared.recipe.write)
    parents = _parents(prepared)
    _judge_failures(prepared, fates, parents, options)
    fail_twins(table, fates, prepared.writer)  # not judged: that a source has copies is no trouble with it
    started = perf_counter()
    delivery = deliver(prepared, engine, table, fates, options.quiet)
    clock.peak_rss_mb = max(clock.peak_rss_mb, delivery.peak_rss_mb)
    if prepared.recipe.write is not None:
        clock.step("write", started, delivery.samples)
    started = perf_counter()
    placed = {"shard": delivery.shard_of}
    write_selection(prepared.run.selection, table, prepared.recipe.steps, prepared.plan.rules, fates, placed)
    clock.step("select", started, len(table))
    if clock.workers_died or delivery.workers_died:
        for place in _places(prepared):
            place.remove_leftovers()  # of what they were writing
    levels = [*([parents] if parents else ()), *_items(prepared, table, fates)]
    return _summary(prepared, engine, table, fates, levels, delivery, clock)


def _claim(prepared: Prepared, options: Options) -> None:
    """Take the output for this recipe, or refuse one that another recipe made."""
    run = prepared.run
    if run.lock.exists() and not options.update:
        before = Lock.read(run.lock)
        if before.recipe != prepared.lock.recipe:
            raise UsageError(
                "another recipe was run into this output",
                where=run.output.url,
                fix="choose another output, or give --update to bring this one up to date with the recipe",
            )
    # Before any work: a place that cannot be written is not to be found out after hours of measuring.
    for place in _places(prepared):
        place.make_dirs()
        place.is_writable()
        place.remove_leftovers()
    prepared.lock.write(run.lock)


def _places(prepared: Prepared) -> tuple[Location, ...]:
    """Where a run writes: its output, its run directory, its store."""
    return prepared.run.output, prepared.run.location, prepared.store


def _measure_and_decide(
    prepared: Prepared, engine: Engine, options: Options, clock: Clock
) -> tuple[Table, Fates]:
    """Every pass in turn; a pass after a global step measures the survivors of what was decided so far."""
    table: Table | None = None
    for number, measure_pass in enumerate(prepared.plan.passes):
        started = perf_counter()
        alive = None
        if measure_pass.after and table is not None:
            alive = _decide(prepared, table, measure_pass.after).kept
        tasks = list(_tasks(prepared, measure_pass, table, alive))
        measured = _run_pass(prepared, engine, measure_pass, tasks, options, clock)
        clock.step("measure" if number == 0 else f"measure {number + 1}", started, measured)
        started = perf_counter()
        table = _compacted(prepared, number)
        clock.step("compact", started, len(table))
    assert table is not None
    started = perf_counter()
    fates = _decide(prepared, table, None)
    clock.step("decide", started, len(table))
    return table, fates


def _tasks(
    prepared: Prepared, measure_pass: MeasurePass, table: Table | None, alive: NDArray[np.bool_] | None
) -> Iterator[MeasureTask]:
    if alive is None or table is None:
        yield from prepared.known.tasks(prepared.units, measure_pass)
        return
    rows_of = table.rows_by_unit(np.flatnonzero(alive))
    for number, unit in enumerate(prepared.units):
        if number in rows_of:
            yield MeasureTask(prepared.known.laid_out(unit), (), False, tuple(rows_of[number]))


def _run_pass(
    prepared: Prepared,
    engine: Engine,
    measure_pass: MeasurePass,
    tasks: list[MeasureTask],
    options: Options,
    clock: Clock,
) -> int:
    """Measure what is missing; returns how many samples were measured now."""
    if not tasks:
        return 0
    instances = (*prepared.source.mappers, *measure_pass.instances)  # splitters lean on models, too
    with kept(served_device(instances) if engine.workers else None) as keeper:
        job = MeasureJob(
            prepared.source,
            measure_pass,
            prepared.plan,
            prepared.store.url,
            prepared.known.base_mark,
            prepared.known.retry_failed,
            keeper.serving if keeper else None,
        )
        seen = _measured(prepared, engine, job, tasks, options, clock)
        clock.noted(keeper.notes if keeper else {})
    prepared.known.fragments.refresh()
    return seen


def _measured(
    prepared: Prepared,
    engine: Engine,
    job: MeasureJob,
    tasks: list[MeasureTask],
    options: Options,
    clock: Clock,
) -> int:
    """Have the tasks done; returns how many samples were measured."""
    total = _expected(tasks, prepared.known.splits)
    seen, failed = 0, 0
    with (
        Progress(total, label="measure", quiet=options.quiet) as progress,
        closing(engine.run(job, tasks)) as results,
    ):
        for done in results:
            if done.result is None:
                raise TooManyFailuresError(
                    f"a unit could not be measured: {done.error}",
                    where=", ".join(f.path for f in done.task.unit.slice.files[:3]),
                )
            report: UnitReport = done.result
            seen, failed = seen + report.samples, failed + report.failed
            clock.spent(report.seconds)
            clock.frames_decoded += report.frames_decoded
            clock.noted(report.notes)
            clock.peak_rss_mb = max(clock.peak_rss_mb, done.peak_rss_mb)
            clock.busy_s += done.seconds
            clock.workers_died |= done.attempts > 1
            progress.update(samples=report.samples, bytes=report.size_bytes, failed=report.failed)
            _stop_early(prepared.recipe, seen, failed, options, report.first_failure)
    return seen


def _expected(tasks: list[MeasureTask], splits: bool) -> int | None:
    """How many samples the tasks have, where that is known before they are done."""
    counts = [_rows_of(task, splits) for task in tasks]
    return None if None in counts else sum(c or 0 for c in counts)


def _rows_of(task: MeasureTask, splits: bool) -> int | None:
    if task.rows is not None:
        return len(task.rows)
    if splits:
        children = task.unit.slice.children
        return None if children is None else sum(children)
    return task.unit.max_rows or task.unit.slice.samples


EARLY_SAMPLES = 1000
"""Samples seen before `max_failed` may stop a run that is still measuring."""


def _stop_early(recipe: Recipe, seen: int, failed: int, options: Options, first: str = "") -> None:
    if options.strict and failed:
        named = f", {first} among them," if first else ""
        raise TooManyFailuresError(
            f"{failed} of {seen} samples failed{named} and --strict was given",
            fix="run without --strict to see all of them in the report",
        )
    if recipe.max_failed is not None and seen >= EARLY_SAMPLES and failed > recipe.max_failed * seen:
        raise TooManyFailuresError(
            f"{failed} of the first {seen} samples failed, more than max_failed allows"
            f" ({recipe.max_failed:.2%})",
            fix="`sluice show` looks at the source; raise `max_failed` to go on",
        )


def _parents(prepared: Prepared) -> dict[str, Any] | None:
    """The equation of what a splitter took apart, listed beside the selection; None where nothing was."""
    if not prepared.known.splits:
        prepared.run.parents.delete()
        return None
    cells = prepared.known.cells(prepared.units, ())
    return write_parents(prepared.run.parents, (unit.parents for unit in cells if unit.parents is not None))


def _judge_failures(
    prepared: Prepared, fates: Fates, parents: Mapping[str, Any] | None, options: Options
) -> None:
    counts = fates.counts()
    reasons = Counter(fates.failures())
    if parents is not None:  # a parent that failed is one sample that could not be used, like any other
        counts = {name: counts[name] + parents["failed"] for name in ("read", "failed")}
        reasons.update(parents["reasons"]["failed"])
    if options.strict:
        _stop_early(prepared.recipe, counts["read"], counts["failed"], options)
    allowed = prepared.recipe.max_failed
    if allowed is not None and counts["failed"] > allowed * counts["read"]:
        # Nothing is measured again then: the output only has to change hands to the recipe with the new bound.
        raise TooManyFailuresError(
            f"{counts['failed']} of {counts['read']} samples failed ({_most_frequent(reasons)}),"
            f" more than max_failed allows ({allowed:.2%})",
            fix="raise `max_failed` and run again with --update to see all of them in the report",
        )


def _most_frequent(reasons: Mapping[str, int], shown: int = 4) -> str:
    """`12 truncated, 3 bomb, …`: what failures are counted by, most frequent first."""
    found = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
    text = ", ".join(f"{count} {reason}" for reason, count in found[:shown])
    return text + (", …" if len(found) > shown else "")


def _compacted(prepared: Prepared, upto_pass: int) -> Table:
    """The wide table of the columns of the first passes."""
    wanted = {i for p in prepared.plan.passes[: upto_pass + 1] for i in p.instances}
    marks = {i.fingerprint for i in wanted}
    columns: list[Column] = [c for c in prepared.plan.columns if c.fingerprint in marks]
    cells = prepared.known.cells(prepared.units, columns)
    place = prepared.store / "samples" / table_digest(cells, columns)
    compact(place, cells, columns)
    return Table(place)


def _decide(prepared: Prepared, table: Table, upto: int | None) -> Fates:
    recipe = prepared.recipe
    return decide(
        table,
        recipe.steps,
        prepared.plan.rules,
        prepared.registry,
        prepared.store,
        fields=prepared.plan.fields,
        item_errors=recipe.item_errors,
        upto=upto,
    )


def _items(prepared: Prepared, table: Table, fates: Fates) -> list[dict[str, Any]]:
    """The equation of conservation of items, where a step drops some inside samples: by what befell each first."""
    if not any(step.drops_items for step in prepared.recipe.steps):
        return []
    items = table.connect().sql("SELECT len(items) AS n FROM samples").to_arrow_table().column(0).to_numpy()
    counts = {name: int(items[fates.fate == k].sum()) for k, name in enumerate(FATES)}
    for ordinal, gone in fates.dropped_items.items():
        counts[FATES[fates.fate[ordinal]]] -= len(gone)
        for lost in gone.values():
            counts[FATES[lost.fate]] += 1
    return [{"name": "items", "read": int(items.sum()), **counts}]


def _cost(prepared: Prepared, clock: Clock) -> list[dict[str, Any]]:
    """Seconds by operator; of the run before, where this one found everything measured."""
    if not clock.operators and prepared.run.summary.exists():
        before: list[dict[str, Any]] = json.loads(prepared.run.summary.read()).get("cost", [])
        return before
    dearest = sorted(clock.operators.items(), key=lambda c: -c[1])
    return [{"operator": name, "seconds": round(seconds, 4)} for name, seconds in dearest]


def _summary(
    prepared: Prepared,
    engine: Engine,
    table: Table,
    fates: Fates,
    levels: Sequence[Mapping[str, Any]],
    delivery: Delivery,
    clock: Clock,
) -> dict[str, Any]:
    counts = fates.counts()
    by_rule: dict[str, int] = {}
    for each in fates.yields:  # steps may share a name
        by_rule[each.name] = by_rule.get(each.name, 0) + each.first_failing
    seconds = perf_counter() - clock.started
    own_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        **counts,
        **({"levels": list(levels)} if levels else {}),
        "by_rule": by_rule,
        "failures": fates.failures(),
        "output": prepared.run.output.url,
        "run": prepared.run.location.url,
        "store": prepared.store.url,
        "shards": delivery.shards,
        "size_bytes": delivery.size_bytes,
        **({"dropped_written": dict(delivery.dropped)} if delivery.dropped is not None else {}),
        "seconds": round(seconds, 3),
        "items_per_second": round(counts["read"] / seconds, 1) if seconds else None,
        "peak_rss_mb": round(own_mb + engine.workers * clock.peak_rss_mb, 1),
        "workers": engine.workers,
        "steps": clock.steps,
        "busy_s": round(clock.busy_s, 3),
        **frames(table, clock.frames_decoded, delivery.frames_decoded),
        "yields": [asdict(y) for y in fates.yields],
        "comparisons": fates.comparisons,
        "declined": declined(table),
        "cost": _cost(prepared, clock),
        "spent": spent(prepared.plan, table),
        "notes": dict(sorted(clock.notes.items())),
        "warnings": [*idle_rules(prepared.plan), *unknown_in_output(prepared, table, fates)],
        "table": table.location.url,
        "recipe": prepared.recipe.title,
    }
