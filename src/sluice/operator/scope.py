"""The steps of one scope, compiled: its cells made, its steps run in order, their values gathered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any

from sluice.operator import tracks
from sluice.operator.declare import PAIRING
from sluice.operator.frames import FRAME_SETTINGS, Frames, reduced_parts
from sluice.operator.instance import Instance
from sluice.operator.pairing import NO_TEXT, pair_cells, pair_values
from sluice.operator.spec import ITEM_SCOPES, PAIR_SCOPES
from sluice.operator.step import (
    ENCODED,
    ITEM,
    MEDIA,
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


def mark_of(instance: Instance) -> str:
    """What tells one computation from another."""
    # Not the alias: one computation may be stored under several names and be needed by others besides.
    return f"{instance.scope}/{instance.spec.name}/{instance.fingerprint}"


def opened(instance: Instance) -> tuple[Callable[..., Any], dict[str, Any]]:
    """What to call for an operator, what it holds (a model) loaded, and the settings to call it with."""
    if instance.reduce is not None:
        return partial(reduced_parts, reduce=instance.reduce, parts=len(instance.outputs)), {}
    if instance.spec.kind == "track":
        if hasattr(instance.spec.target, "open"):  # what is missing ends the run before a source is decoded
            instance.spec.target(**instance.settings).open()
        return partial(tracks.span, instance), {}
    beforehand = set(PAIRING) if instance.spec.scope in PAIR_SCOPES else set()
    if any(need.marked(Frames) for need in instance.spec.needs):
        beforehand |= set(
            FRAME_SETTINGS
        )  # what they say is done; an operator sees one pair, and these frames
    settings = {name: value for name, value in instance.settings.items() if name not in beforehand}
    if not instance.spec.is_class:
        return instance.spec.target, settings
    operator = instance.spec.target(**settings)
    if hasattr(operator, "open"):
        operator.open()
    return operator, {}


class ScopeProgram:
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
        mark = mark_of(instance)
        if mark not in self._slot_of:
            inputs = [
                ROOT_SLOTS[given] if isinstance(given, str) else self._slot(given) for given in instance.given
            ]
            self._slot_of[mark] = max(self._slot_of.values()) + 1
            self.steps.append(Step(instance, tuple(inputs), self._slot_of[mark]))
        return self._slot_of[mark]

    def _slot(self, instance: Instance) -> int:
        if instance.scope == self.scope:
            return self._add(instance)
        # A sample-level operator that names an image measure is given that measure's list of its sample, one
        # on pairs the value of the pair's own image or text, one on videos the list of its own frames' values.
        mark = mark_of(instance)
        slot = self._slot_of.setdefault(mark, max(self._slot_of.values()) + 1)
        self._borrowed[slot] = mark
        return slot

    def _cut(self) -> list[Segment]:
        runs: list[list[Step]] = []
        for step in _batches_last(self.steps):
            if not runs or step.instance.batched or runs[-1][0].instance.batched:
                runs.append([])
            runs[-1].append(step)
        stored = {step.output for step in self.given()}
        last_use = {
            slot: k for k, run in enumerate(runs) for step in run for slot in (*step.inputs, step.output)
        }
        return [
            Segment(run, [slot for slot, last in last_use.items() if last == k and slot not in stored])
            for k, run in enumerate(runs)
        ]

    def given(self) -> list[Step]:
        """The steps whose values are asked for: to be stored, or by another scope."""
        return [s for s in self.steps if s.instance.made or mark_of(s.instance) in self.lent]

    def measured(
        self, samples: Sequence[Sample], made: dict[str, list[Any]], run: Run
    ) -> dict[str, list[Any]]:
        """What each step makes that is asked for, by its mark: one entry a sample, notes where there is none.

        `made` are the values of the scopes before.
        """
        cells = self._cells(samples, made, run)
        for segment in self.segments:
            segment.run(cells, run)
        return self._values(cells, samples)

    def _cells(self, samples: Sequence[Sample], made: dict[str, list[Any]], run: Run) -> list[Cell]:
        if self.scope in PAIR_SCOPES:
            borrowed = {slot: (mark.partition("/")[0], made[mark]) for slot, mark in self._borrowed.items()}
            return pair_cells(samples, PAIR_SCOPES[self.scope], self.steps, self._size, borrowed, run)
        cells = []
        for row, sample in enumerate(samples):
            if self.scope in ITEM_SCOPES:
                for k, (index, item) in enumerate(sample.of(self.scope)):
                    slots: list[Any] = [None] * self._size
                    slots[ITEM], slots[MEDIA] = item, item.media
                    for slot, mark in self._borrowed.items():
                        slots[slot] = made[mark][row][k]
                    cells.append(Cell(row, item, index, slots))
            else:
                slots = [None] * self._size
                slots[SAMPLE] = sample
                if self.scope == "document" and not sample.of("text"):
                    slots[TEXT] = self._no_text(row, run)
                for slot, mark in self._borrowed.items():
                    lists = made[mark][row]
                    slots[slot] = without_notes(lists) if type(lists) is list else lists
                cells.append(Cell(row, None, -1, slots))
        return cells

    def _no_text(self, row: int, run: Run) -> Note:
        """What stands for the text of a sample without any; each step that is asked for notes it."""
        run.notes[row] += [Note("declined", NO_TEXT, "", s.name) for s in self.steps if s.instance.made]
        return Note("declined", NO_TEXT)

    def _values(self, cells: list[Cell], samples: Sequence[Sample]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for step in self.given():
            if self.scope in PAIR_SCOPES:
                found[mark_of(step.instance)] = pair_values(step, PAIR_SCOPES[self.scope], cells, samples)
                continue
            values: list[Any] = [c.slots[step.output] for c in cells]
            if self.scope in ITEM_SCOPES:
                lists: list[Any] = [[] for _ in samples]
                for cell, value in zip(cells, values, strict=True):
                    lists[cell.row].append(value)
                values = lists
            found[mark_of(step.instance)] = values
        return found


def _batches_last(steps: Sequence[Step]) -> list[Step]:
    """The steps, still in dependency order, all that waits for no batch first: pixels are let go before batches run."""
    waits: dict[int, int] = {}
    for step in steps:
        level = max((waits.get(slot, 0) for slot in step.inputs), default=0)
        waits[step.output] = level + step.instance.batched
    return sorted(steps, key=lambda step: (waits[step.output], not step.instance.batched))


class Segment:
    """Steps that run together: per item, or one batched step over all items of the micro-batch."""

    def __init__(self, steps: list[Step], free: list[int]) -> None:
        self.steps, self.free = steps, free
        used = {slot for step in steps for slot in step.inputs}
        self.views, self.reads, self.texts = MEDIA in used, ENCODED in used, TEXT in used
        self.batched = steps[0].instance.batched

    def run(self, cells: list[Cell], run: Run) -> None:
        """Run the steps for all these cells."""
        if self.batched:
            self._run_batched(cells, run)
            return
        for cell in cells:
            self.run_one(cell, run)

    def run_one(self, cell: Cell, run: Run) -> None:
        """Run the steps, which are not batched, for one cell."""
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


def without_notes(values: list[Any]) -> list[Any]:
    """Values as they are stored: what a note stands for is null."""
    if values and type(values[0]) is list:
        return [[None if type(v) is Note else v for v in items] for items in values]
    return [None if type(v) is Note else v for v in values]
