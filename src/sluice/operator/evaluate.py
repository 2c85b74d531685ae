"""Evaluates operators over samples: every feature once an item, shared by all that need it.

Knows nothing of files, workers or storage; the conformance suite, the engine's workers and a user's
notebook all call this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

from sluice.errors import PlanError
from sluice.operator import alive, tracks
from sluice.operator.instance import Instance
from sluice.operator.pairing import NO_TEXT, pair_cells, pair_values
from sluice.operator.spec import ITEM_SCOPES
from sluice.operator.step import (
    ENCODED,
    ITEM,
    MEDIA,
    NOTHING,
    ROOT_SLOTS,
    SAMPLE,
    TEXT,
    Cell,
    Run,
    Step,
    call_batch,
    call_item,
    prepare,
    trouble_of,
)
from sluice.sample import Note, Sample

_SCOPE_ORDER = ("text", "document", "image", "audio", "frame", "video", "pair", "sample")


@dataclass
class Measured:
    """What a program made of some samples.

    `columns` maps a column's name to one entry a sample: a value for a sample-level column, a list (compact
    for the modality) for an item-level one; null is None. A mapper's new versions stand under its own name,
    likewise. `notes` has for each sample why values are null: a
    note names the operator or feature where the trouble arose, which may be one that the column's operator
    needs. `hashes` are the content hashes by item index; `seconds` the time spent by operator in this call.
    """

    columns: dict[str, list[Any]]
    notes: list[list[Note]]
    hashes: list[dict[int, str]]
    seconds: dict[str, float] = field(default_factory=dict)


class Program:
    """Operators compiled for evaluation together.

    `open()` builds what they hold (models) once; calling the program measures a micro-batch and never raises
    for a sample's trouble. `beat`, where given, is a shared array of three int64: row, step and time
    (monotonic ns) of the call under way, so that a supervisor knows what a hung or killed worker was doing;
    row −1 says that nothing is under way, −1 − n that one call takes n items. `given` are operators whose values
    each call brings along: they are not run. Raises PlanError where two would make one column.
    """

    def __init__(self, instances: Sequence[Instance], given: Sequence[Instance] = ()) -> None:
        _refuse_clashes(instances)
        everything = {_mark(i): i for top in instances for i in top.closure(given)}
        scopes = sorted({i.scope for i in everything.values()}, key=_SCOPE_ORDER.index)
        lent = {_mark(b) for i in everything.values() for b in i.bindings.values() if b.scope != i.scope}
        self.instances = tuple(instances)
        self._shares_texts = {"text", "document"} <= set(scopes)
        self._scopes = [
            _ScopeProgram(scope, [i for i in everything.values() if i.scope == scope], lent)
            for scope in scopes
        ]
        self.steps = [step for scope in self._scopes for step in scope.steps]
        for number, step in enumerate(self.steps):
            step.number = step.code = number

    @property
    def step_names(self) -> list[str]:
        """Names of the operators and features by the number that `beat` is told."""
        return [step.name for step in self.steps]

    def numbered_as_in(self, whole: Program) -> Program:
        """Let the beat's step numbers be those of a program that holds all of ours, so that they share a beat."""
        at = {_mark(step.instance): step.number for step in whole.steps}
        for step in self.steps:
            step.code = at[_mark(step.instance)]
        return self

    def open(self) -> Program:
        """Build the operators that hold state; done once, by the first call at the latest."""
        for step in self.steps:
            if step.call is None:
                step.call, step.settings = _opened(step.instance)
        return self

    def __call__(
        self,
        samples: Sequence[Sample],
        *,
        rows: Sequence[int] = (),
        beat: MutableSequence[int] | None = None,
        given: Mapping[Instance, list[Any]] | None = None,
    ) -> Measured:
        """Measure samples; `rows` are the numbers under which the beat knows them (default 0, 1, …).

        `given` has, for operators that are not run, one entry a sample, as a sample-level operator takes it.
        """
        self.open()
        run = Run(
            samples, rows or range(len(samples)), beat if beat is not None else [0, 0, 0], len(self.steps)
        )
        run.shares_texts = self._shares_texts
        alive.follow(run.beat)
        made = {_mark(instance): values for instance, values in (given or {}).items()}
        for scope in self._scopes:
            cells = scope.cells(samples, made, run)
            for segment in scope.segments:
                segment.run(cells, run)
            made |= scope.values(cells, samples)
        run.beat[0] = -1
        seconds: dict[str, float] = {}
        for step in self.steps:
            seconds[step.name] = seconds.get(step.name, 0.0) + run.seconds[step.number]
        return Measured(self._columns(made), run.notes, run.hashes, seconds)

    def _columns(self, made: dict[str, list[Any]]) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {}
        for instance in self.instances:
            values = _without_notes(made[_mark(instance)]) if instance.made else []
            for k, name in enumerate(instance.made):
                part = k if len(instance.made) > 1 else None
                columns[name] = values if part is None else [_part(v, part) for v in values]
        return columns


def _without_notes(values: list[Any]) -> list[Any]:
    """Values as they are stored: what a note stands for is null."""
    if values and type(values[0]) is list:
        return [[None if type(v) is Note else v for v in items] for items in values]
    return [None if type(v) is Note else v for v in values]


def _part(value: Any, index: int) -> Any:
    """One field of a many-valued measure: of a value, of a list of values, of null."""
    if isinstance(value, list):
        return [_part(v, index) for v in value]
    return None if value is None else value[index]


def _refuse_clashes(instances: Sequence[Instance]) -> None:
    maker: dict[str, Instance] = {}
    for instance in instances:
        for output in instance.outputs:
            other = maker.setdefault(output.name, instance)
            if other.fingerprint != instance.fingerprint:
                raise PlanError(
                    f"two operators would both make the column {output.name!r}",
                    fix="give one of them another name with `as:`",
                )


def _mark(instance: Instance) -> str:
    # Not the alias: one computation may be stored under several names and be needed by others besides.
    return f"{instance.scope}/{instance.spec.name}/{instance.fingerprint}"


def _opened(instance: Instance) -> tuple[Callable[..., Any], dict[str, Any]]:
    if instance.spec.kind == "track":
        return partial(tracks.span, instance), {}
    settings = dict(instance.settings)
    if instance.spec.scope == "pair":
        del settings["pair"]  # says which pairs are made; an operator sees one of them
    if not instance.spec.is_class:
        return instance.spec.target, settings
    operator = instance.spec.target(**settings)
    if hasattr(operator, "open"):
        operator.open()
    return operator, {}


class _ScopeProgram:
    """The steps of one scope in dependency order, cut into segments of per-item and of batched steps."""

    def __init__(self, scope: str, instances: Sequence[Instance], lent: set[str]) -> None:
        self.scope, self.lent = scope, lent
        self.steps: list[Step] = []
        self._slot_of: dict[str, int] = dict(ROOT_SLOTS)
        self._borrowed: dict[int, str] = {}
        for instance in instances:
            self._add(instance)
        self._size = max(self._slot_of.values()) + 1
        self.segments = self._cut()

    def _add(self, instance: Instance) -> int:
        mark = _mark(instance)
        if mark not in self._slot_of:
            bound = [instance.bindings.get(need.name) for need in instance.spec.needs]
            inputs = [
                self._slot_of.get(need.name, NOTHING) if b is None else self._slot(b)
                for need, b in zip(instance.spec.needs, bound, strict=True)
            ]
            self._slot_of[mark] = max(self._slot_of.values()) + 1
            self.steps.append(Step(instance, tuple(inputs), self._slot_of[mark]))
        return self._slot_of[mark]

    def _slot(self, instance: Instance) -> int:
        if instance.scope == self.scope:
            return self._add(instance)
        # A sample-level operator that names an image measure is given that measure's list of its sample, one
        # on pairs the value of the pair's own image or text.
        mark = _mark(instance)
        slot = self._slot_of.setdefault(mark, max(self._slot_of.values()) + 1)
        self._borrowed[slot] = mark
        return slot

    def _cut(self) -> list[_Segment]:
        runs: list[list[Step]] = []
        for step in self.steps:
            if not runs or step.instance.spec.batched or runs[-1][0].instance.spec.batched:
                runs.append([])
            runs[-1].append(step)
        stored = {step.output for step in self._given()}
        last_use = {
            slot: k for k, run in enumerate(runs) for step in run for slot in (*step.inputs, step.output)
        }
        return [
            _Segment(run, [slot for slot, last in last_use.items() if last == k and slot not in stored])
            for k, run in enumerate(runs)
        ]

    def _given(self) -> list[Step]:
        """The steps whose values are asked for: to be stored, or by another scope."""
        return [s for s in self.steps if s.instance.made or _mark(s.instance) in self.lent]

    def cells(self, samples: Sequence[Sample], made: dict[str, list[Any]], run: Run) -> list[Cell]:
        if self.scope == "pair":
            borrowed = {slot: (mark.partition("/")[0], made[mark]) for slot, mark in self._borrowed.items()}
            return pair_cells(samples, self.steps, self._size, borrowed, run)
        cells = []
        for row, sample in enumerate(samples):
            if self.scope in ITEM_SCOPES:
                for index, item in sample.of(self.scope):
                    slots: list[Any] = [None] * self._size
                    slots[ITEM], slots[MEDIA] = item, item.media
                    cells.append(Cell(row, item, index, slots))
            else:
                slots = [None] * self._size
                slots[SAMPLE] = sample
                if self.scope == "document" and not sample.of("text"):
                    slots[TEXT] = self._no_text(row, run)
                for slot, mark in self._borrowed.items():
                    lists = made[mark][row]
                    slots[slot] = _without_notes(lists) if type(lists) is list else lists
                cells.append(Cell(row, None, -1, slots))
        return cells

    def _no_text(self, row: int, run: Run) -> Note:
        """What stands for the text of a sample without any; each step that is asked for notes it."""
        run.notes[row] += [Note("declined", NO_TEXT, "", s.name) for s in self.steps if s.instance.made]
        return Note("declined", NO_TEXT)

    def values(self, cells: list[Cell], samples: Sequence[Sample]) -> dict[str, list[Any]]:
        """What each step made that is asked for, by its mark: one entry a sample, notes where there is none."""
        found: dict[str, list[Any]] = {}
        for step in self._given():
            if self.scope == "pair":
                found[_mark(step.instance)] = pair_values(step, cells, samples)
                continue
            values: list[Any] = [c.slots[step.output] for c in cells]
            if self.scope in ITEM_SCOPES:
                lists: list[Any] = [[] for _ in samples]
                for cell, value in zip(cells, values, strict=True):
                    lists[cell.row].append(value)
                values = lists
            found[_mark(step.instance)] = values
        return found


class _Segment:
    """Steps that run together: per item, or one batched step over all items of the micro-batch."""

    def __init__(self, steps: list[Step], free: list[int]) -> None:
        self.steps, self.free = steps, free
        used = {slot for step in steps for slot in step.inputs}
        self.views, self.reads, self.texts = MEDIA in used, ENCODED in used, TEXT in used
        self.batched = steps[0].instance.spec.batched

    def run(self, cells: list[Cell], run: Run) -> None:
        if self.batched:
            self._run_batched(cells, run)
            return
        for cell in cells:
            self._prepare(cell, run)
            slots, then = cell.slots, perf_counter()
            for step in self.steps:
                run.beat[1] = step.code
                slots[step.output] = call_item(step, cell, run)
                now = perf_counter()
                run.seconds[step.number] += now - then
                then = now
            for slot in self.free:
                slots[slot] = None

    def _prepare(self, cell: Cell, run: Run) -> None:
        run.begin(cell.row)
        prepare(cell, run, views=self.views, reads=self.reads, texts=self.texts)

    def _run_batched(self, cells: list[Cell], run: Run) -> None:
        step = self.steps[0]
        for cell in cells:
            self._prepare(cell, run)
            cell.slots[step.output] = trouble_of(step, cell)
        good = [cell for cell in cells if cell.slots[step.output] is None]
        started = perf_counter()
        call_batch(step, good, run)
        run.seconds[step.number] += perf_counter() - started
        for cell in cells:
            for slot in self.free:
                cell.slots[slot] = None
