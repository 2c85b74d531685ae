"""The measuring job: reads one unit in micro-batches, measures it, and commits its fragments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from sluice.operator import Measured, Program
from sluice.plan import MeasurePass, Unit
from sluice.plan.columns import Column, columns_of
from sluice.readers import Reader, open_reader
from sluice.recipe.check import FieldType
from sluice.recipe.expression import Rule
from sluice.run.batches import base_table, hashes_of, joined, micro_batches, with_bytes_in_hand
from sluice.run.engine import Beat, Quarantine, rest
from sluice.run.gate import GateGroup, covered, groups
from sluice.sample import Note, Sample
from sluice.storage import Location
from sluice.store.fragments import Fragment, Fragments


@dataclass(frozen=True)
class SourceRef:
    """How a worker anywhere opens the source again; `root` is the prefix its views share."""

    url: str
    format: str
    root: str
    columns: Mapping[str, str] | None = None

    def open(self) -> Reader:
        """The reader of the source."""
        return open_reader(self.url, format=self.format, columns=dict(self.columns) if self.columns else None)


@dataclass(frozen=True)
class MeasureTask:
    """One unit to be measured: the cheap operators still missing and, in later passes, the rows (None: all)."""

    unit: Unit
    missing: tuple[int, ...]
    needs_base: bool
    rows: tuple[int, ...] | None = None


@dataclass
class UnitReport:
    """What measuring one unit came to, for progress and the table of costs."""

    samples: int = 0
    failed: int = 0
    size_bytes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class _Cells:
    """Values gathered over a unit's micro-batches for one fragment."""

    columns: tuple[Column, ...]
    rows: list[int] = field(default_factory=list)
    values: dict[str, list[Any]] = field(default_factory=dict)
    notes: list[list[Note]] = field(default_factory=list)
    hashes: list[list[str | None]] = field(default_factory=list)

    def add(self, rows: Sequence[int], samples: Sequence[Sample], measured: Measured) -> None:
        self.rows.extend(rows)
        self.notes.extend(measured.notes)
        for name in (c.name for c in self.columns):
            self.values.setdefault(name, []).extend(measured.columns[name])
        for sample, known in zip(samples, measured.hashes, strict=True):
            # Only a pass that reads bytes hashes sidecars too: header-only passes touch no contents.
            self.hashes.append(hashes_of(sample, known) if known else [None] * len(sample.items))

    def add_failed(self, row: int, sample: Sample, notes: list[Note]) -> None:
        self.rows.append(row)
        self.notes.append(notes)
        for column in self.columns:
            self.values.setdefault(column.name, []).append(None)
        self.hashes.append([None] * len(sample.items))


@dataclass
class _UnitState:
    """One unit under way."""

    task: MeasureTask
    fragments: list[Fragment]
    cells: _Cells
    gated: list[tuple[GateGroup, _Cells, set[int]]]
    stored: dict[str, dict[int, Any]] = field(default_factory=dict)
    """What the store holds already of the fields that gates look at, by row."""
    base: list[pa.Table] = field(default_factory=list)
    report: UnitReport = field(default_factory=UnitReport)


class MeasureJob:
    """Measures units of one pass. The same object serves every worker; it opens its parts there."""

    def __init__(
        self,
        source: SourceRef,
        measure_pass: MeasurePass,
        rules: Mapping[int, Rule],
        keep_nulls: Mapping[int, bool],
        fields: Mapping[str, FieldType],
        columns: Sequence[Column],
        store_url: str,
        base_mark: str,
    ) -> None:
        self.source, self.measure_pass = source, measure_pass
        self.rules, self.keep_nulls, self.fields = dict(rules), dict(keep_nulls), dict(fields)
        self.columns = {column.name: column for column in columns}
        self.store_url, self.base_mark = store_url, base_mark

    def open(self) -> None:
        """Open what this worker needs: the reader, the store, the programs."""
        self._reader = self.source.open()
        self._fragments = Fragments(Location(self.store_url) / "fragments")
        self._programs: dict[tuple[int, ...], Program] = {}
        self._groups = groups(self.measure_pass, self.rules, self.keep_nulls)
        for group in self._groups:
            group.program.numbered_as_in(self._whole())
        self._gate_fields = {name for group in self._groups for name in group.fields}

    def step_name(self, step: int) -> str:
        """The operator that the beat's step number stands for."""
        names = self._whole().step_names
        return names[step] if 0 <= step < len(names) else "reading"

    def _whole(self) -> Program:
        """All operators and features of the pass: the beat means the same whichever of its programs runs."""
        return Program(self.measure_pass.instances)

    def __call__(self, task: MeasureTask, beat: Beat, quarantined: Mapping[int, Quarantine]) -> UnitReport:
        """Measure one unit and commit its fragments."""
        program = self._program(task.missing)
        state = self._state(task, program)
        if self._nothing_to_read(state):
            return state.report
        wanted = set(task.rows) if task.rows is not None else None
        for rows, found in micro_batches(self._reader, task.unit, wanted, beat):
            samples = [with_bytes_in_hand(s) for s in found] if state.gated else found
            self._measure(state, program, rows, samples, beat, quarantined)
        rest(beat)
        self._commit(state)
        return state.report

    def rows(self, task: MeasureTask) -> int:
        """How many samples a task has, for bisection: as listed, else counted by reading without bytes."""
        if task.unit.slice.samples is not None:
            return task.unit.slice.samples
        return sum(1 for _ in self.source.open().read(task.unit.slice))

    def probe(self, task: MeasureTask, rows: Sequence[int], beat: Beat) -> None:
        """Measure some rows of a task and keep nothing, to find out which of them kills a worker."""
        programs = [self._program(task.missing), *(group.program for group in self._groups)]
        for numbers, samples in micro_batches(self._reader, task.unit, set(rows), beat):
            good = [k for k, s in enumerate(samples) if not s.notes]
            for program in programs:
                program([samples[k] for k in good], rows=[numbers[k] for k in good], beat=beat)

    def _program(self, missing: tuple[int, ...]) -> Program:
        if missing not in self._programs:
            program = Program([self.measure_pass.cheap[i] for i in missing])
            self._programs[missing] = program.numbered_as_in(self._whole())
        return self._programs[missing]

    def _state(self, task: MeasureTask, program: Program) -> _UnitState:
        fragments = self._fragments.stored(task.unit.key) if self._groups else []
        gated = []
        for group in self._groups:
            columns = tuple(columns_of(group.instances))
            gated.append((group, _Cells(columns), covered(fragments, columns)))
        stored = {
            name: _stored_values(fragments, self.columns[name])
            for name in self._gate_fields & self.columns.keys()
        }
        return _UnitState(task, fragments, _Cells(tuple(columns_of(program.instances))), gated, stored)

    def _nothing_to_read(self, state: _UnitState) -> bool:
        return not state.task.missing and not state.task.needs_base and not state.gated

    def _measure(
        self,
        state: _UnitState,
        program: Program,
        rows: list[int],
        samples: list[Sample],
        beat: Beat,
        quarantined: Mapping[int, Quarantine],
    ) -> None:
        good = [k for k, s in enumerate(samples) if rows[k] not in quarantined and not s.notes]
        measured = program([samples[k] for k in good], rows=[rows[k] for k in good], beat=beat)
        _add_in_order(state.cells, rows, samples, good, measured, quarantined)
        for name, seconds in measured.seconds.items():
            state.report.seconds[name] = state.report.seconds.get(name, 0.0) + seconds
        if state.gated:
            self._measure_gated(state, [rows[k] for k in good], [samples[k] for k in good], measured, beat)
        if state.task.needs_base:
            state.base.append(base_table(samples, self.source.root))
        state.report.samples += len(samples)
        state.report.size_bytes += sum(sample.size_bytes for sample in samples)
        state.report.failed += sum(_is_failure(notes) for notes in state.cells.notes[-len(samples) :])

    def _measure_gated(
        self,
        state: _UnitState,
        rows: list[int],
        samples: list[Sample],
        measured: Measured,
        beat: Beat,
    ) -> None:
        """Run each group of dear operators on the rows that pass its gates and are not known yet."""
        values = self._gate_values(state, rows, samples, measured)
        for group, cells, done in state.gated:
            passing = group.passing(values.select(sorted(group.fields)), self.fields)
            todo = [k for k, row in enumerate(rows) if passing[k] and row not in done]
            if todo:
                chosen = [samples[k] for k in todo]
                result = group.program(chosen, rows=[rows[k] for k in todo], beat=beat)
                cells.add([rows[k] for k in todo], chosen, result)
                values = self._joined(values, todo, result)
                for name, seconds in result.seconds.items():
                    state.report.seconds[name] = state.report.seconds.get(name, 0.0) + seconds

    def _gate_values(
        self, state: _UnitState, rows: Sequence[int], samples: Sequence[Sample], measured: Measured
    ) -> pa.Table:
        """The fields that gates look at, for these rows: just measured, stored, or of the sample itself."""
        data: dict[str, Any] = {
            "key": pa.array([s.key for s in samples], pa.string()),
            "id": pa.array([s.id for s in samples], pa.string()),
            "size_bytes": pa.array([s.size_bytes for s in samples], pa.int64()),
        }
        for name in self._gate_fields - data.keys():
            if name in measured.columns:
                data[name] = pa.array(measured.columns[name], self.columns[name].arrow)
            elif name in self.columns:
                known = state.stored[name]
                data[name] = pa.array([known.get(row) for row in rows], self.columns[name].arrow)
            else:
                data[name] = pa.array([s.fields.get(name) for s in samples])
        return pa.table(data)

    def _joined(self, values: pa.Table, todo: Sequence[int], result: Measured) -> pa.Table:
        """The gate values with the columns a group just made; rows it did not run on stay as they are stored."""
        for name in self._gate_fields & result.columns.keys():
            spread = values.column(name).to_pylist()
            for at, value in zip(todo, result.columns[name], strict=True):
                spread[at] = value
            values = values.drop_columns([name])
            values = values.append_column(name, pa.array(spread, self.columns[name].arrow))
        return values

    def _commit(self, state: _UnitState) -> None:
        total = len(state.cells.rows)
        write = self._fragments.write
        of_rows = total if state.task.rows is None else NEVER_WHOLE
        key = state.task.unit.key
        if state.cells.columns or state.task.needs_base:
            has_hashes = any(h for row in state.cells.hashes for h in row)
            write(
                key,
                of_rows=of_rows,
                rows=state.cells.rows,
                columns=[(c, state.cells.values.get(c.name, [])) for c in state.cells.columns],
                notes=state.cells.notes,
                hashes=state.cells.hashes if has_hashes else None,
                base=joined(state.base) if state.base else None,
                base_mark=self.base_mark,
            )
        for _, cells, _ in state.gated:
            if cells.rows:
                columns = [(c, cells.values[c.name]) for c in cells.columns]
                write(key, of_rows=NEVER_WHOLE, rows=cells.rows, columns=columns, notes=cells.notes)


NEVER_WHOLE = 1 << 40
"""`of_rows` of a fragment that covers only some rows of its unit."""


def _add_in_order(
    cells: _Cells,
    rows: list[int],
    samples: list[Sample],
    good: list[int],
    measured: Measured,
    quarantined: Mapping[int, Quarantine],
) -> None:
    """Add a micro-batch's rows in their order, those that could not be measured with their reason."""
    if len(good) == len(rows):
        cells.add(rows, samples, measured)
        return
    at = {k: i for i, k in enumerate(good)}
    for k, (row, sample) in enumerate(zip(rows, samples, strict=True)):
        if k not in at:
            notes = list(sample.notes)
            if row in quarantined:
                q = quarantined[row]
                notes.append(Note("crash", f"{q.step}: {q.reason}", q.detail, q.step))
            cells.add_failed(row, sample, notes)
            continue
        i = at[k]
        one = Measured(
            {name: values[i : i + 1] for name, values in measured.columns.items()},
            [measured.notes[i]],
            [measured.hashes[i]],
        )
        cells.add([row], [sample], one)


def _is_failure(notes: Sequence[Note]) -> bool:
    return any(n.kind != "declined" for n in notes)


def _stored_values(fragments: Sequence[Fragment], column: Column) -> dict[int, Any]:
    """What the store holds of one column of a unit, by row."""
    found: dict[int, Any] = {}
    for fragment in fragments:
        if column.mark in fragment.marks:
            table = fragment.read(["row", fragment.marks[column.mark]])
            found |= zip(table.column("row").to_pylist(), table.column(1).to_pylist(), strict=True)
    return found
