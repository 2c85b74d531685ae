"""Where a recipe's `map` steps stand: before everything that looks at samples, or after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sluice.errors import PlanError, SluiceError
from sluice.operator import Instance, Registry
from sluice.operator.spec import ITEM_SCOPES
from sluice.recipe.steps import Map, Step


@dataclass(frozen=True)
class Mappers:
    """The mappers of a recipe by step number, in order.

    `leading` change samples as they are read, so that measures and rules see the new versions; `trailing`
    change survivors as they are written, so that measures and rules saw the originals. In a recipe of nothing
    but mappers all are trailing: the bytes are then made once.
    """

    leading: Mapping[int, Instance] = field(default_factory=dict)
    trailing: Mapping[int, Instance] = field(default_factory=dict)

    @property
    def fingerprints(self) -> list[str]:
        """What makes the bytes that are written: a fingerprint for each mapper, in order."""
        return [instance.fingerprint for instance in (*self.leading.values(), *self.trailing.values())]


def leading_steps(steps: Sequence[Step]) -> int:
    """How many `map` steps a recipe begins with; 0 where no other step follows them."""
    return next((n for n, step in enumerate(steps) if not isinstance(step, Map)), 0)


def mappers_of(steps: Sequence[Step], registry: Registry) -> Mappers:
    """The mappers of these steps, bound. `PlanError`, with the recipe's line, for one that cannot run there."""
    first = leading_steps(steps)
    last = max((n for n, step in enumerate(steps) if not isinstance(step, Map)), default=-1)
    found = {n: _bound(step, registry) for n, step in enumerate(steps) if isinstance(step, Map)}
    for number, instance in found.items():
        if first <= number < last:
            raise PlanError(
                f"the mapper {instance.spec.name!r} stands between other steps: those before it would judge "
                "another version of the samples than those after it",
                where=str(steps[number].at),
                fix="move it before all other steps (they see what it makes) or after them (they see the originals)",
            )
    return Mappers(
        {n: i for n, i in found.items() if n < first}, {n: i for n, i in found.items() if n > last}
    )


def _bound(step: Map, registry: Registry) -> Instance:
    ref, where = step.operator, str(step.operator.at) or str(step.at)
    try:
        spec = registry.get(ref.name)
        instance = registry.bind(ref.name, ref.settings, with_=ref.with_)
    except SluiceError as error:
        error.where = error.where or where
        raise
    if spec.kind != "mapper":
        raise PlanError(f"{ref.name!r} is a {spec.kind}, not a mapper", where=where)
    if spec.scope not in ITEM_SCOPES:
        raise PlanError(
            f"mappers of scope {spec.scope!r} cannot be run yet", where=where, fix="leave the step out"
        )
    if ref.as_ is not None or ref.when != "gated":
        fix = "leave `as` and `when` out: a mapper makes no column"
        raise PlanError(f"`as` and `when` mean nothing for the mapper {ref.name!r}", where=where, fix=fix)
    return instance
