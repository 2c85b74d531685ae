"""Evaluates operators over samples: every feature once an item, shared by all that need it.

Knows nothing of files, workers or storage; the conformance suite, the engine's workers and a user's
notebook all call this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, MutableSequence, Sequence
from dataclasses import dataclass, field
from time import monotonic_ns, perf_counter
from typing import Any

import numpy as np
import xxhash

from sluice.errors import Declined, SampleError, StorageError, UnreadableError
from sluice.operator.instance import ITEM_SCOPES, Instance
from sluice.sample import Item, Note, Sample

_ITEM, _MEDIA, _ENCODED, _TEXT, _SAMPLE = range(5)
_ROOTS = {"item": _ITEM, "media": _MEDIA, "encoded": _ENCODED, "text": _TEXT, "sample": _SAMPLE}
_SCOPE_ORDER = ("text", "image", "audio", "frame", "video", "pair", "sample")


@dataclass
class Measured:
    """What a program made of some samples.

    `columns` maps a column's name to one entry a sample: a value for a sample-level column, a list (compact
    for the modality) for an item-level one; null is None. `notes` has for each sample why values are null;
    `hashes` the content hashes by item index; `seconds` the time spent by operator.
    """

    columns: dict[str, list[Any]]
    notes: list[list[Note]]
    hashes: list[dict[int, str]]
    seconds: dict[str, float] = field(default_factory=dict)


class Program:
    """Operators compiled for evaluation together.

    `open()` builds what they hold (models) once; calling the program measures a micro-batch and never raises
    for a sample's trouble. `beat`, where given, is a shared array of three int64: row, step and time
    (monotonic ns) of the call under way, so that a supervisor knows what a hung or killed worker was doing.
    """

    def __init__(self, instances: Sequence[Instance]) -> None:
        everything = {_mark(i): i for top in instances for i in top.closure()}
        scopes = sorted({i.spec.scope for i in everything.values()}, key=_SCOPE_ORDER.index)
        self.instances = tuple(instances)
        self._scopes = [
            _ScopeProgram(scope, [i for i in everything.values() if i.spec.scope == scope])
            for scope in scopes
        ]
        self._wanted = {o.name for i in instances for o in i.outputs}
        self._steps = [step for scope in self._scopes for step in scope.steps]
        for number, step in enumerate(self._steps):
            step.number = number

    @property
    def step_names(self) -> list[str]:
        """Names of the operators and features by the number that `beat` is told."""
        return [step.name for step in self._steps]

    def open(self) -> Program:
        """Build the operators that hold state; done once, by the first call at the latest."""
        for step in self._steps:
            if step.call is None:
                step.call, step.settings = _opened(step.instance)
        return self

    def __call__(
        self, samples: Sequence[Sample], *, first_row: int = 0, beat: MutableSequence[int] | None = None
    ) -> Measured:
        """Measure samples whose rows count from `first_row`."""
        self.open()
        run = _Run(samples, first_row, beat if beat is not None else [0, 0, 0])
        columns: dict[str, list[Any]] = {}
        for scope in self._scopes:
            cells = scope.cells(samples, columns)
            for segment in scope.segments:
                segment.run(cells, run)
            columns |= scope.columns(cells, len(samples))
        return Measured(
            {name: values for name, values in columns.items() if name in self._wanted},
            run.notes,
            run.hashes,
            {step.name: step.seconds for step in self._steps},
        )


def _mark(instance: Instance) -> str:
    return instance.fingerprint + (instance.alias or "")


@dataclass
class _Cell:
    """One item (or, in the sample scope, one sample) with the values made of it so far."""

    row: int
    item: Item | None
    index: int
    slots: list[Any]


class _Run:
    """One call of a program: where notes and hashes gather."""

    def __init__(self, samples: Sequence[Sample], first_row: int, beat: MutableSequence[int]) -> None:
        self.first_row, self.beat = first_row, beat
        self.notes: list[list[Note]] = [[] for _ in samples]
        self.hashes: list[dict[int, str]] = [{} for _ in samples]

    def note(self, cell: _Cell, note: Note) -> Note:
        self.notes[cell.row].append(note)
        return note


@dataclass
class _Step:
    """One call, compiled: which slots go in, which comes out."""

    instance: Instance
    inputs: tuple[int, ...]
    output: int
    call: Callable[..., Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    seconds: float = 0.0

    @property
    def name(self) -> str:
        return self.instance.alias or self.instance.spec.name


def _opened(instance: Instance) -> tuple[Callable[..., Any], dict[str, Any]]:
    settings = dict(instance.settings)
    if not instance.spec.is_class:
        return instance.spec.target, settings
    operator = instance.spec.target(**settings)
    if hasattr(operator, "open"):
        operator.open()
    return operator, {}


class _ScopeProgram:
    """The steps of one scope in dependency order, cut into segments of per-item and of batched steps."""

    def __init__(self, scope: str, instances: Sequence[Instance]) -> None:
        self.scope = scope
        self.steps: list[_Step] = []
        self._slot_of: dict[str, int] = dict(_ROOTS)
        self._columns_needed: dict[int, str] = {}
        for instance in instances:
            self._add(instance)
        self._size = max(self._slot_of.values()) + 1
        self.segments = self._cut()

    def _add(self, instance: Instance) -> int:
        mark = _mark(instance)
        if mark not in self._slot_of:
            bound = [instance.bindings.get(need.name) for need in instance.spec.needs]
            inputs = [
                self._slot_of[need.name] if b is None else self._slot(b)
                for need, b in zip(instance.spec.needs, bound, strict=True)
            ]
            self._slot_of[mark] = max(self._slot_of.values()) + 1
            self.steps.append(_Step(instance, tuple(inputs), self._slot_of[mark]))
        return self._slot_of[mark]

    def _slot(self, instance: Instance) -> int:
        if instance.spec.scope == self.scope:
            return self._add(instance)
        # A sample-level operator that names an image measure is given that column's entry of its sample.
        column = instance.outputs[0].name
        slot = self._slot_of.setdefault("column:" + column, max(self._slot_of.values()) + 1)
        self._columns_needed[slot] = column
        return slot

    def _cut(self) -> list[_Segment]:
        runs: list[list[_Step]] = []
        for step in self.steps:
            if not runs or step.instance.spec.batched or runs[-1][0].instance.spec.batched:
                runs.append([])
            runs[-1].append(step)
        stored = {step.output for step in self.steps if step.instance.outputs}
        last_use = {
            slot: k for k, run in enumerate(runs) for step in run for slot in (*step.inputs, step.output)
        }
        return [
            _Segment(run, [slot for slot, last in last_use.items() if last == k and slot not in stored])
            for k, run in enumerate(runs)
        ]

    def cells(self, samples: Sequence[Sample], columns: dict[str, list[Any]]) -> list[_Cell]:
        cells = []
        for row, sample in enumerate(samples):
            if self.scope in ITEM_SCOPES:
                for index, item in sample.of(self.scope):
                    slots: list[Any] = [None] * self._size
                    slots[_ITEM], slots[_MEDIA] = item, item.media
                    cells.append(_Cell(row, item, index, slots))
            else:
                slots = [None] * self._size
                slots[_SAMPLE] = sample
                for slot, column in self._columns_needed.items():
                    slots[slot] = columns[column][row]
                cells.append(_Cell(row, None, -1, slots))
        return cells

    def columns(self, cells: list[_Cell], count: int) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for step in self.steps:
            for k, output in enumerate(step.instance.outputs):
                part = k if len(step.instance.outputs) > 1 else None
                values = [_part(cell.slots[step.output], part) for cell in cells]
                if self.scope in ITEM_SCOPES:
                    lists: list[Any] = [[] for _ in range(count)]
                    for cell, value in zip(cells, values, strict=True):
                        lists[cell.row].append(value)
                    values = lists
                found[output.name] = values
        return found


def _part(value: Any, index: int | None) -> Any:
    if value is None or isinstance(value, Note):
        return None
    return value if index is None else value[index]


class _Segment:
    """Steps that run together: per item, or one batched step over all items of the micro-batch."""

    def __init__(self, steps: list[_Step], free: list[int]) -> None:
        self.steps, self.free = steps, free
        used = {slot for step in steps for slot in step.inputs}
        self.reads, self.texts = _ENCODED in used, _TEXT in used
        self.batched = steps[0].instance.spec.batched

    def run(self, cells: list[_Cell], run: _Run) -> None:
        if self.batched:
            self._run_batched(cells, run)
            return
        for cell in cells:
            self._prepare(cell, run)
            slots = cell.slots
            for step in self.steps:
                run.beat[1] = step.number
                started = perf_counter()
                slots[step.output] = _call(step, cell, run)
                step.seconds += perf_counter() - started
            for slot in self.free:
                slots[slot] = None

    def _prepare(self, cell: _Cell, run: _Run) -> None:
        run.beat[0], run.beat[2] = run.first_row + cell.row, monotonic_ns()
        if self.reads and cell.slots[_ENCODED] is None:
            cell.slots[_ENCODED] = _encoded(cell, run)
        if self.texts and cell.slots[_TEXT] is None:
            cell.slots[_TEXT] = _text(cell, run)

    def _run_batched(self, cells: list[_Cell], run: _Run) -> None:
        step = self.steps[0]
        for cell in cells:
            self._prepare(cell, run)
            cell.slots[step.output] = _trouble(step, cell)
        good = [cell for cell in cells if cell.slots[step.output] is None]
        run.beat[1] = step.number
        started = perf_counter()
        _call_batched(step, good, run)
        step.seconds += perf_counter() - started
        for cell in cells:
            for slot in self.free:
                cell.slots[slot] = None


def _encoded(cell: _Cell, run: _Run) -> bytes | Note:
    """All bytes of the item, read once; their hash is remembered."""
    try:
        if cell.item is None or cell.item.media is None:
            raise UnreadableError("no bytes", "the item has no media")
        data = cell.item.media.read()
    except StorageError as error:
        return run.note(cell, Note("unreadable", "bytes not readable", str(error), "read", cell.index))
    except UnreadableError as error:
        return run.note(cell, Note("unreadable", error.reason, error.what, "read", cell.index))
    run.hashes[cell.row][cell.index] = xxhash.xxh3_128_hexdigest(data)
    return data


def _text(cell: _Cell, run: _Run) -> str | Note:
    item = cell.item
    if item is not None and item.text is not None:
        return item.text
    data = _encoded(cell, run)
    if isinstance(data, Note):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return run.note(cell, Note("unreadable", "not UTF-8", str(error), "read", cell.index))


def _trouble(step: _Step, cell: _Cell) -> Note | None:
    """The note of the first input that has none to give; it stands for this step's value too."""
    for slot in step.inputs:
        value = cell.slots[slot]
        if type(value) is Note:
            return value
    return None


def _call(step: _Step, cell: _Cell, run: _Run) -> Any:
    trouble = _trouble(step, cell)
    if trouble is not None:
        return trouble
    slots = cell.slots
    try:
        value = step.call(*[slots[i] for i in step.inputs], **step.settings)  # type: ignore[misc]
    except Exception as error:  # noqa: BLE001 - whatever an operator raises becomes this sample's counted failure
        return run.note(cell, _as_note(error, step, cell))
    return _checked(value, step, cell, run)


def _call_batched(step: _Step, cells: list[_Cell], run: _Run) -> None:
    if not cells:
        return
    try:
        columns = [[cell.slots[i] for cell in cells] for i in step.inputs]
        values = step.call(*columns, **step.settings)  # type: ignore[misc]
        if len(values) != len(cells):
            raise ValueError(f"returned {len(values)} values for {len(cells)} items")
    except Exception as error:  # noqa: BLE001 - see _call; a batch that fails is retried item by item
        if len(cells) > 1:
            for cell in cells:
                _call_batched(step, [cell], run)
        else:
            cells[0].slots[step.output] = run.note(cells[0], _as_note(error, step, cells[0]))
        return
    for cell, value in zip(cells, values, strict=True):
        cell.slots[step.output] = _checked(value, step, cell, run)


def _as_note(error: Exception, step: _Step, cell: _Cell) -> Note:
    if isinstance(error, Declined):
        return Note("declined", error.reason, error.what, step.name, cell.index)
    if isinstance(error, UnreadableError):
        return Note("unreadable", error.reason, error.what, step.name, cell.index)
    if isinstance(error, MemoryError):
        return Note("crash", "out of memory", str(error), step.name, cell.index)
    reason = error.reason if isinstance(error, SampleError) else type(error).__name__
    return Note("error", f"{step.name}: {reason}", str(error), step.name, cell.index)


def _checked(value: Any, step: _Step, cell: _Cell, run: _Run) -> Any:
    """Plain Python values out of measures; None and NaN become nulls with a reason."""
    if not step.instance.outputs:
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (type(value) is float and not math.isfinite(value)):
        reason = "no value" if value is None else "not a number"
        return run.note(cell, Note("declined", reason, "", step.name, cell.index))
    return value
