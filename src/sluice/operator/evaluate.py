"""Evaluates operators over samples: every feature once an item, shared by all that need it.

Knows nothing of files, workers or storage; the conformance suite, the engine's workers and a user's
notebook all call this.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from typing import Any

from sluice.errors import PlanError
from sluice.operator import alive
from sluice.operator.frames import Frames
from sluice.operator.instance import Instance
from sluice.operator.over_frames import FrameProgram
from sluice.operator.scope import ScopeProgram, mark_of, opened, without_notes
from sluice.operator.step import Run
from sluice.sample import Note, Sample

_SCOPE_ORDER = ("text", "document", "image", "audio", "frame", "video", "pair", "video_pair", "sample")


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
        everything = {mark_of(i): i for top in instances for i in top.closure(given)}
        of_scope: dict[tuple[str, Frames | None], list[Instance]] = {}
        for instance in everything.values():
            of_scope.setdefault((instance.scope, instance.frames), []).append(instance)
        lent = {mark_of(b) for i in everything.values() for b in i.bindings.values() if b.scope != i.scope}
        self.instances = tuple(instances)
        self._shares_texts = {"text", "document"} <= {scope for scope, _ in of_scope}
        self._scopes = [
            ScopeProgram(scope, members, lent) if frames is None else FrameProgram(frames, members, lent)
            for (scope, frames), members in sorted(
                of_scope.items(), key=lambda e: _SCOPE_ORDER.index(e[0][0])
            )
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
        at = {mark_of(step.instance): step.number for step in whole.steps}
        for step in self.steps:
            step.code = at[mark_of(step.instance)]
        return self

    def open(self) -> Program:
        """Build the operators that hold state; done once, by the first call at the latest."""
        for step in self.steps:
            if step.call is None:
                step.call, step.settings = opened(step.instance)
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
        if beat is not None:  # else what waits here speaks through the beat of whoever called
            alive.follow(beat)
        made = {mark_of(instance): values for instance, values in (given or {}).items()}
        for scope in self._scopes:
            made |= scope.measured(samples, made, run)
        run.beat[0] = -1
        seconds: dict[str, float] = {}
        for step in self.steps:
            seconds[step.name] = seconds.get(step.name, 0.0) + run.seconds[step.number]
        return Measured(self._columns(made), run.notes, run.hashes, seconds)

    def _columns(self, made: dict[str, list[Any]]) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {}
        for instance in self.instances:
            values = without_notes(made[mark_of(instance)]) if instance.made else []
            for k, name in enumerate(instance.made):
                part = k if len(instance.made) > 1 else None
                columns[name] = values if part is None else [_part(v, part) for v in values]
        return columns


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
