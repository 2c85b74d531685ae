"""The measuring job: reads one unit in micro-batches, measures it, and commits its fragments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from sluice.codec.video.tally import frames_decoded
from sluice.model import journal
from sluice.model.client import Serving, serve
from sluice.model.runner import notes_taken
from sluice.operator import Measured, Program
from sluice.plan import MeasurePass, Plan, Unit
from sluice.plan.columns import columns_of
from sluice.recipe.steps import Keep
from sluice.run.batches import base_table, joined, micro_batches, with_bytes_in_hand
from sluice.run.cells import Cells, add_in_order
from sluice.run.engine import Beat, Quarantine, rest
from sluice.run.gate import GateColumns, GateGroup, Stored, groups
from sluice.run.memory import opening
from sluice.run.source import SourceRef, UnitReader
from sluice.sample import Note, Sample
from sluice.storage import Location
from sluice.store.compact import judge_notes
from sluice.store.fragments import Fragments


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
    first_failure: str = ""
    """Key and reason of the first sample that failed, for messages."""
    seconds: dict[str, float] = field(default_factory=dict)
    frames_decoded: int = 0
    """Frames of videos that were decoded for it."""
    notes: dict[str, int] = field(default_factory=dict)
    """What its models noted (a batch halved for want of memory), with how often."""

    def fail(self, samples: int, first: str) -> None:
        """Add samples that failed before there was anything to measure."""
        self.samples, self.failed = self.samples + samples, self.failed + samples
        self.first_failure = first or self.first_failure

    def spend(self, seconds: Mapping[str, float]) -> None:
        """Add seconds by operator."""
        for name, more in seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + more


@dataclass
class _UnitState:
    """One unit under way."""

    task: MeasureTask
    cells: Cells
    stored: Stored
    gated: list[tuple[GateGroup, Cells, set[int]]]
    base: list[pa.Table] = field(default_factory=list)
    report: UnitReport = field(default_factory=UnitReport)


class MeasureJob:
    """Measures units of one pass. The same object serves every worker; it opens its parts there."""

    def __init__(
        self,
        source: SourceRef,
        measure_pass: MeasurePass,
        plan: Plan,
        store_url: str,
        base_mark: str,
        retry_failed: bool = False,
        serving: Serving | None = None,
    ) -> None:
        self.source, self.measure_pass = source, measure_pass
        self.rules, self.fields = dict(plan.rules), dict(plan.fields)
        self.columns = {column.name: column for column in plan.columns}
        self.keep_nulls = {
            n: step.nulls == "keep" for n, step in enumerate(plan.recipe.steps) if isinstance(step, Keep)
        }
        self.item_errors = plan.recipe.item_errors
        self.store_url, self.base_mark, self.retry_failed = store_url, base_mark, retry_failed
        self.serving = serving

    def open(self) -> None:
        """Open what this worker needs: the reader, the store, the programs; models when they are first run."""
        journal.use(Location(self.store_url))
        serve(self.serving)
        self._fragments = Fragments(Location(self.store_url) / "fragments")
        self._source = UnitReader(self.source, self._fragments, stale=self.retry_failed)
        self._programs: dict[tuple[int, ...], Program] = {}
        self._loaded: set[GateGroup] = set()
        self._groups = groups(self.measure_pass, self.rules, self.keep_nulls)
        for group in self._groups:
            group.program.numbered_as_in(self._whole())
        looked_at = {name for group in self._groups for name in group.fields}
        self._gates = GateColumns(
            {name: self.columns[name] for name in looked_at & self.columns.keys()},
            {name: f"{self.base_mark}:{name}" for name in looked_at - self.columns.keys()},
        )

    def step_name(self, step: int) -> str:
        """The operator that the beat's step number stands for."""
        names = self._whole().step_names
        return names[step] if 0 <= step < len(names) else "reading"

    def _whole(self) -> Program:
        """All operators and features of the pass: the beat means the same whichever of its programs runs."""
        return Program(self.measure_pass.instances)

    def __call__(self, task: MeasureTask, beat: Beat, quarantined: Mapping[int, Quarantine]) -> UnitReport:
        """Measure one unit and commit its fragments."""
        before = frames_decoded()
        task = replace(task, unit=self._source.counted(task.unit, beat, quarantined))
        program = self._program(task.missing)
        state = self._state(task, program)
        wanted = self._rows_to_read(state)
        if wanted is not None and not wanted:
            return state.report
        # Where bytes are read for all anyway, the dear operators share that read.
        shared = state.gated and any(self.measure_pass.cheap[i].cost != "header" for i in task.missing)
        reader, unit, following = self._source.reading(task.unit, beat, quarantined)
        for rows, found in micro_batches(reader, unit, wanted, beat):
            samples = [with_bytes_in_hand(s) for s in found] if shared else found
            self._measure(state, program, rows, samples, beat, quarantined)
        rest(beat)
        if following is not None and self._source.splits_anew(unit):
            following.parents.write(self._fragments, unit.key)
            state.report.fail(following.failed, following.first_failure)
        self._commit(state)
        state.report.frames_decoded = frames_decoded() - before
        state.report.notes = notes_taken()
        return state.report

    def rows(self, task: MeasureTask) -> int:
        """How many samples a task has, for bisection."""
        return self._source.rows(task.unit)

    def probe(self, task: MeasureTask, rows: Sequence[int], beat: Beat) -> None:
        """Measure some rows of a task and keep nothing, to find out which of them kills a worker."""
        programs = [self._program(task.missing), *(self._opened(group) for group in self._groups)]
        reader, unit = self._source.probing(task.unit, beat)
        for numbers, samples in micro_batches(reader, unit, set(rows), beat):
            good = [k for k, s in enumerate(samples) if not _is_unread(s)]
            for program in programs:
                program([samples[k] for k in good], rows=[numbers[k] for k in good], beat=beat)

    def _program(self, missing: tuple[int, ...]) -> Program:
        if missing not in self._programs:
            program = Program([self.measure_pass.cheap[i] for i in missing])
            self._programs[missing] = program.numbered_as_in(self._whole())
        return self._programs[missing]

    def _opened(self, group: GateGroup) -> Program:
        """The group's program with its models loaded: late, since where all is known none is needed."""
        if group not in self._loaded:
            with opening():
                group.program.open()
            self._loaded.add(group)
        return group.program

    def _state(self, task: MeasureTask, program: Program) -> _UnitState:
        known = self._groups and not self._source.splits_anew(task.unit)
        fragments = self._fragments.stored(task.unit.key) if known else []
        stored = Stored([f for f in fragments if not (self.retry_failed and f.transient)], self._gates)
        gated = []
        for group in self._groups:
            columns = tuple(columns_of(group.instances))
            gated.append((group, Cells(columns), stored.covered(columns)))
        return _UnitState(task, Cells(tuple(columns_of(program.instances))), stored, gated)

    def _rows_to_read(self, state: _UnitState) -> set[int] | None:
        """The rows to be read (None: all): where only dear columns lack, those that pass their gates."""
        task = state.task
        if task.missing or task.needs_base:
            return set(task.rows) if task.rows is not None else None
        rows = list(task.rows) if task.rows is not None else sorted(state.stored.rows_of(self.base_mark))
        values = state.stored.table(rows)
        wanted: set[int] = set()
        # A later group's gates include the earlier ones', so that what those lack is read in any case.
        for group, _, done in state.gated:
            passing = group.passing(values.select(sorted(group.fields)), self.fields)
            wanted |= {row for row, passes in zip(rows, passing, strict=True) if passes} - done
        return wanted

    def _measure(
        self,
        state: _UnitState,
        program: Program,
        rows: list[int],
        samples: list[Sample],
        beat: Beat,
        quarantined: Mapping[int, Quarantine],
    ) -> None:
        blamed = self._blamed(state, quarantined)
        good = [k for k, s in enumerate(samples) if rows[k] not in blamed and not _is_unread(s)]
        measured = program([samples[k] for k in good], rows=[rows[k] for k in good], beat=beat)
        add_in_order(state.cells, rows, samples, good, measured, blamed)
        state.report.spend(measured.seconds)
        if state.task.needs_base:
            state.base.append(base_table(samples, self.source.root))
        failed = self._failed(samples, state.cells.notes[-len(samples) :])
        if state.gated:
            base = base_table([samples[k] for k in good], self.source.root)
            values = self._gate_values(state, [rows[k] for k in good], base, measured)
            notes = self._measure_gated(state, [samples[k] for k in good], values, beat, quarantined)
            failed |= {good[k] for k in self._failed([samples[k] for k in good], notes)}
        state.report.samples += len(samples)
        state.report.size_bytes += sum(sample.size_bytes for sample in samples)
        state.report.failed += len(failed)
        if failed and not state.report.first_failure:
            first = min(failed)
            at = len(state.cells.notes) - len(samples) + first
            why = [n.reason for n in state.cells.notes[at] if n.kind != "declined"]
            state.report.first_failure = (
                f"{samples[first].key} ({why[0] if why else 'a dear operator failed'})"
            )

    def _blamed(self, state: _UnitState, quarantined: Mapping[int, Quarantine]) -> Mapping[int, Quarantine]:
        """Rows that must not be measured at all: not those that only a dear operator cannot bear."""
        if not state.gated:
            return quarantined
        dear = {name for group, _, _ in state.gated for name in group.program.step_names}
        if state.cells.columns or state.task.needs_base:
            dear -= {name for i in state.task.missing for name in self._names(i)}
            return {row: q for row, q in quarantined.items() if q.step not in dear}
        return {}  # no other operator runs now, and no other fragment would hold the reason

    def _names(self, cheap: int) -> Iterator[str]:
        return (i.alias or i.spec.name for i in self.measure_pass.cheap[cheap].closure())

    def _failed(self, samples: Sequence[Sample], notes: Sequence[Sequence[Note]]) -> set[int]:
        """Which of the samples these notes let fail."""
        failed = set()
        for k, (sample, found) in enumerate(zip(samples, notes, strict=True)):
            if found:
                modalities, names = [i.modality for i in sample.items], [i.name for i in sample.items]
                reason, errors = judge_notes(found, modalities, names)
                if reason is not None or (errors and self.item_errors == "fail"):
                    failed.add(k)
        return failed

    def _measure_gated(
        self,
        state: _UnitState,
        samples: Sequence[Sample],
        values: pa.Table,
        beat: Beat,
        quarantined: Mapping[int, Quarantine],
    ) -> list[list[Note]]:
        """Run each group of dear operators on the rows that pass its gates and are not known yet.

        Returns the notes that it made on each sample.
        """
        rows = values.column("row").to_pylist()
        notes: list[list[Note]] = [[] for _ in rows]
        for group, cells, done in state.gated:
            passing = group.passing(values.select(sorted(group.fields)), self.fields)
            todo = [k for k, row in enumerate(rows) if passing[k] and row not in done]
            if not todo:
                continue
            good = [i for i, k in enumerate(todo) if rows[k] not in quarantined]
            run = [todo[i] for i in good]
            program = self._opened(group)
            result = program([samples[k] for k in run], rows=[rows[k] for k in run], beat=beat)
            add_in_order(
                cells, [rows[k] for k in todo], [samples[k] for k in todo], good, result, quarantined
            )
            for k, found in zip(todo, cells.notes[-len(todo) :], strict=True):
                notes[k] += found
            values = self._joined(values, run, result)
            state.report.spend(result.seconds)
        return notes

    def _gate_values(
        self, state: _UnitState, rows: Sequence[int], base: pa.Table, measured: Measured
    ) -> pa.Table:
        """The fields that gates look at, for these rows: just measured, stored, or of the sample itself."""
        values = state.stored.table(rows)
        just_made = {
            name: pa.array(measured.columns[name], column.arrow)
            for name, column in self._gates.measured.items()
            if name in measured.columns
        }
        of_samples = {n: base.column(n) for n in self._gates.of_source if n in base.column_names}
        for name, column in (just_made | of_samples).items():
            values = values.set_column(values.schema.get_field_index(name), name, column)
        return values

    def _joined(self, values: pa.Table, todo: Sequence[int], result: Measured) -> pa.Table:
        """The gate values with the columns a group just made; rows it did not run on stay as they are stored."""
        for name in self._gates.measured.keys() & result.columns.keys():
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
            # A shard may hold no sample at all; that is known of it then.
            base = joined(state.base or [base_table([], self.source.root)]) if state.task.needs_base else None
            has_hashes = any(h for row in state.cells.hashes for h in row)
            write(
                key,
                of_rows=of_rows,
                rows=state.cells.rows,
                columns=[(c, state.cells.values.get(c.name, [])) for c in state.cells.columns],
                notes=state.cells.notes,
                hashes=state.cells.hashes if has_hashes else None,
                base=base,
                base_mark=self.base_mark,
            )
        for _, cells, _ in state.gated:
            if cells.rows:
                columns = [(c, cells.values[c.name]) for c in cells.columns]
                name = write(key, of_rows=NEVER_WHOLE, rows=cells.rows, columns=columns, notes=cells.notes)
                if self.retry_failed:
                    self._forget_crashes(key, cells.columns[0].mark, name)

    def _forget_crashes(self, key: str, mark: str, written: str) -> None:
        """Delete partial fragments of what crashed before and has now been tried again."""
        for fragment in self._fragments.stored(key):
            old = fragment.transient and not fragment.whole and mark in fragment.marks
            if old and fragment.location.name != written:
                fragment.location.delete()


NEVER_WHOLE = 1 << 40
"""`of_rows` of a fragment that covers only some rows of its unit."""


def _is_unread(sample: Sample) -> bool:
    """Whether there is no sample to measure: reading it went wrong as a whole, not for one of its items."""
    return any(note.kind == "read" for note in sample.notes)
