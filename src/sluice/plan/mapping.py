"""Where a recipe's `map` and `split` steps stand: before everything that looks at samples, or after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sluice.errors import PlanError, SluiceError
from sluice.operator import Instance, Registry, Spec
from sluice.operator.spec import GATED
from sluice.recipe.steps import Map, Measure, OperatorRef, Split, Step


@dataclass(frozen=True)
class Mappers:
    """The mappers of a recipe by step number, in order, and its splitter among the leading ones.

    `leading` change samples as they are read, so that measures and rules see the new versions; `trailing`
    change survivors as they are written, so that measures and rules saw the originals. Mappers that nothing
    else follows are trailing: the bytes are then made once.
    """

    leading: Mapping[int, Instance] = field(default_factory=dict)
    trailing: Mapping[int, Instance] = field(default_factory=dict)

    @property
    def splits(self) -> bool:
        """Whether the samples that steps see are the children of those that are read."""
        return any(instance.spec.kind == "splitter" for instance in self.leading.values())

    @property
    def fingerprints(self) -> list[str]:
        """What makes the bytes that are written: a fingerprint for each mapper, in order."""
        return [instance.fingerprint for instance in (*self.leading.values(), *self.trailing.values())]

    @property
    def measures(self) -> list[tuple[int, Instance]]:
        """The dear measures that trailing mappers take, with their steps.

        They are measured like any other: behind the gates, many at a time, with their columns.
        """
        return [(n, each) for n, mapper in self.trailing.items() for each in _dear(mapper)]

    @property
    def given(self) -> list[Instance]:
        """Those of `measures` whose stored values mappers of whole samples take: they are not run again."""
        of_samples = [n for n, mapper in self.trailing.items() if mapper.spec.scope == "sample"]
        return [each for n, each in self.measures if n in of_samples and not _is_aside(each)]


def leading_steps(steps: Sequence[Step]) -> int:
    """How many `map` and `split` steps a recipe begins with, without `map` steps that nothing else follows."""
    other = next((n for n, step in enumerate(steps) if not isinstance(step, Map | Split)), None)
    if other is not None:
        return other
    return max((n + 1 for n, step in enumerate(steps) if isinstance(step, Split)), default=0)


def mappers_of(steps: Sequence[Step], registry: Registry) -> Mappers:
    """The mappers of these steps, bound. `PlanError`, with the recipe's line, for one that cannot run there."""
    first = leading_steps(steps)
    last = max((n for n, step in enumerate(steps) if not isinstance(step, Map)), default=-1)
    _refuse_late_splits(steps, first)
    found = {
        n: _bound(step, registry, steps) for n, step in enumerate(steps) if isinstance(step, Map | Split)
    }
    for number, instance in found.items():
        if first <= number < last:
            raise PlanError(
                f"the mapper {instance.spec.name!r} stands between other steps: those before it would judge "
                "another version of the samples than those after it",
                where=str(steps[number].at),
                fix="move it before all other steps (they see what it makes) or after them (they see the originals)",
            )
    mappers = Mappers(
        {n: i for n, i in found.items() if n < first}, {n: i for n, i in found.items() if n > last}
    )
    _refuse_dear(mappers, steps)
    return mappers


def _refuse_late_splits(steps: Sequence[Step], first: int) -> None:
    splits = [number for number, step in enumerate(steps) if isinstance(step, Split)]
    for number in splits[1:]:
        what = "a second `split`: samples can be split once"
        raise PlanError(
            what, where=str(steps[number].at), fix="run it in a recipe of its own over the output"
        )
    if splits and splits[0] >= first:
        raise PlanError(
            "a `split` stands after steps that look at samples: they would judge what it takes apart",
            where=str(steps[splits[0]].at),
            fix="move it, and the `map` steps it needs, before all other steps",
        )


def _is_aside(measure: Instance) -> bool:
    return any(output.kind in ("vector", "binary") for output in measure.outputs)


def _dear(mapper: Instance) -> list[Instance]:
    return [i for i in mapper.bindings.values() if i.spec.kind == "measure" and i.cost in GATED]


def _refuse_dear(mappers: Mappers, steps: Sequence[Step]) -> None:
    """Refuse what would measure dearly for samples that rules drop, or a second time for changed ones."""
    for number, mapper in mappers.leading.items():
        for measure in _dear(mapper):
            raise PlanError(
                f"the mapper {mapper.spec.name!r} needs {measure.spec.name!r}, for samples that the rules then drop",
                where=str(steps[number].at),
                fix="move it after all other steps",
            )
    for number, measure in mappers.measures:
        for earlier, other in mappers.trailing.items():
            if earlier < number and other.spec.scope == measure.spec.scope:
                raise PlanError(
                    f"{measure.spec.name!r} would be measured again, of what {other.spec.name!r} makes",
                    where=str(steps[number].at),
                    fix=f"move the step before {other.spec.name!r}",
                )


def settings_of_needs(ref: OperatorRef, spec: Spec, steps: Sequence[Step]) -> dict[str, dict[str, object]]:
    """Settings for the operators that one needs: its own `with`, else those of the recipe's `measure`."""
    defaults = {name: field.default for name, field in spec.settings.model_fields.items()}
    wanted = {need.name for need in spec.needs if need.wanted({**defaults, **ref.settings})}
    measured: dict[str, dict[str, object]] = {}
    for step in steps:
        for each in step.operators if isinstance(step, Measure) else ():
            if each.name in wanted and each.as_ is None:
                measured |= {**each.with_, each.name: each.settings}
    return {**measured, **ref.with_}


def _bound(step: Map | Split, registry: Registry, steps: Sequence[Step]) -> Instance:
    ref, where = step.operator, str(step.operator.at) or str(step.at)
    try:
        spec = registry.get(ref.name)
        instance = registry.bind(ref.name, ref.settings, with_=settings_of_needs(ref, spec, steps))
    except SluiceError as error:
        error.where = error.where or where
        raise
    wanted = "mapper" if isinstance(step, Map) else "splitter"
    if spec.kind != wanted:
        raise PlanError(f"{ref.name!r} is a {spec.kind}, not a {wanted}", where=where)
    if ref.as_ is not None or ref.when != "gated" or ref.over is not None:
        fix = f"leave `as`, `over` and `when` out: a {wanted} makes no column"
        raise PlanError(
            f"`as`, `over` and `when` mean nothing for the {wanted} {ref.name!r}", where=where, fix=fix
        )
    return instance
