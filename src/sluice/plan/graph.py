"""The plan: which operators a recipe needs, which of them run together, and which rules gate the dear ones."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sluice.errors import PlanError, SluiceError
from sluice.operator import Instance, Registry, Spec
from sluice.operator.spec import GATED
from sluice.plan.columns import Column, columns_of
from sluice.plan.dedup import check_dedup
from sluice.plan.mapping import Mappers, mappers_of, settings_of_needs
from sluice.plan.places import Place, sharing
from sluice.recipe.check import Fields, FieldType, check, check_items
from sluice.recipe.expression import Rule, fields_of
from sluice.recipe.recipe import Recipe
from sluice.recipe.selectors import Selector
from sluice.recipe.steps import Dedup, DropItems, Keep, Map, Measure, OperatorRef, Split, Step

SAMPLE_FIELDS = {
    "id": FieldType("id", "text", "sample"),
    "key": FieldType("key", "text", "sample"),
    "size_bytes": FieldType("size_bytes", "number", "sample", unit="bytes"),
}
"""Fields that every sample has, whatever is measured."""


@dataclass(frozen=True)
class Gated:
    """A dear operator and the rules (step numbers) that a sample must pass before it is computed."""

    instance: Instance
    gates: tuple[int, ...]


@dataclass(frozen=True)
class MeasurePass:
    """Operators that share one read of the samples.

    `cheap` run on every sample of the pass, `gated` on those that pass their gates. The samples of the pass
    are the survivors of the recipe's first `after` steps (0: all).
    """

    cheap: tuple[Instance, ...]
    gated: tuple[Gated, ...]
    after: int = 0

    @property
    def instances(self) -> tuple[Instance, ...]:
        """All operators of the pass."""
        return (*self.cheap, *(g.instance for g in self.gated))


@dataclass(frozen=True)
class Plan:
    """A recipe resolved: its operators in passes, its columns and mappers, and its rules read and checked."""

    recipe: Recipe
    passes: tuple[MeasurePass, ...]
    columns: tuple[Column, ...]
    rules: Mapping[int, Rule]
    fields: Mapping[str, FieldType]
    mappers: Mappers = field(default_factory=Mappers)

    @property
    def instances(self) -> tuple[Instance, ...]:
        """All measures of the plan, each once, in the order of the passes."""
        return tuple(i for p in self.passes for i in p.instances)


def plan(
    recipe: Recipe,
    registry: Registry,
    source_fields: Mapping[str, FieldType] | None = None,
    multiple: Mapping[str, bool] | None = None,
) -> Plan:
    """Resolve a recipe against the operators there are.

    `source_fields` are the source's own columns; `multiple` says of modalities whether samples have several
    such items, as far as a look at the source could tell. Raises PlanError or RuleError with the recipe's line.
    """
    known = {**SAMPLE_FIELDS, **(source_fields or {})}
    mappers = mappers_of(recipe.steps, registry)
    needs = _Needs(recipe, registry, known)
    for number, step in enumerate(recipe.steps):
        needs.add(number, step)
    for number, instance in mappers.measures:
        needs.take(number, instance, str(recipe.steps[number].at))
    if recipe.write is not None and recipe.write.partition_by is not None:
        needs.need(len(recipe.steps), recipe.write.partition_by, "write.partition_by")
    if recipe.check == "full":
        needs.ask(0, OperatorRef.model_validate("image_decodes"), "")
    unique = tuple(dict.fromkeys(needs.by_column.values()))
    fields = {**known, **{c.name: field_type(c) for c in columns_of(unique)}}
    for step in recipe.steps:
        if isinstance(step, Dedup):
            check_dedup(step, fields, registry)
        elif isinstance(step, Selector):
            _check_selector(step, fields)
    if recipe.write is not None and recipe.write.partition_by is not None:
        _check_partition(fields[recipe.write.partition_by])
    checked = Fields(fields, multiple or {})
    rules = {
        n: check_items(rule, checked)[0] if isinstance(recipe.steps[n], DropItems) else check(rule, checked)
        for n, rule in needs.rules.items()
    }
    return Plan(recipe, _passes(recipe, needs, unique), tuple(columns_of(unique)), rules, fields, mappers)


def _check_selector(step: Selector, fields: Mapping[str, FieldType]) -> None:
    """Refuse a field that a selector cannot look at, before anything is measured."""
    where = str(step.at)
    for place, name in enumerate(step.looks_at):
        kind = fields[name].kind
        clusters = getattr(step, "clusters", None)
        if place == 0 and (kind == "vector") != (clusters is not None) and "vector" in step.wants:
            fix = "give `clusters: 100`" if kind == "vector" else "leave `clusters` out"
            raise PlanError(f"`{step.key}` by {name!r}, which holds {kind} values", where=where, fix=fix)
        if kind not in (step.wants if place == 0 else ("number", "text", "bool")):
            fix = f"`{step.key}` looks at: {', '.join(step.wants)}"
            raise PlanError(f"`{step.key}` cannot look at {name!r}, which holds {kind}", where=where, fix=fix)


def _check_partition(field: FieldType) -> None:
    """Refuse to partition by what is no plain value."""
    if field.kind not in ("text", "number", "bool"):
        what = f"an output cannot be partitioned by {field.name!r}, which holds {field.kind} values"
        raise PlanError(
            what, where="write.partition_by", fix="name a field that holds text, numbers or yes and no"
        )


def field_type(column: Column) -> FieldType:
    """What a rule may do with a column."""
    return FieldType(
        column.name,
        column.output.kind,
        "item" if column.modality else "sample",
        modality=column.modality,
        unit=column.output.field.unit,
    )


class _Needs:
    """Gathers, step by step, which operator makes each column and when it is first needed."""

    def __init__(self, recipe: Recipe, registry: Registry, known: Mapping[str, FieldType]) -> None:
        self.registry, self.known, self.steps = registry, known, recipe.steps
        self.by_column: dict[str, Instance] = {}
        self.first_step: dict[Instance, int] = {}
        self.ungated: set[Instance] = set()
        self.rules: dict[int, Rule] = {}
        self._made_by = {o.name: spec for spec in registry for o in spec.outputs}
        # An explicit `measure` names the settings of a column wherever in the recipe it stands.
        self._explicit = [
            (number, ref, str(ref.at) or str(step.at))
            for number, step in enumerate(recipe.steps)
            if isinstance(step, Measure)
            for ref in step.operators
        ]
        for number, ref, where in self._explicit:
            self.ask(number, ref, where)

    def add(self, number: int, step: Step) -> None:
        where = str(step.at)
        if isinstance(step, Keep | DropItems):
            self.rules[number] = step.parsed
            for found in fields_of(step.parsed.expr):
                self.need(number, found.name, step.parsed.where)
        elif isinstance(step, Dedup):
            for name in (step.by, *(field for field, _ in step.order)):
                self.need(number, name, where)
        elif isinstance(step, Selector):
            for name in step.looks_at:
                self.need(number, name, where)
        elif not isinstance(step, Map | Split | Measure):
            raise PlanError(
                f"`{step.key}` steps are read but cannot be run yet", where=where, fix="leave the step out"
            )

    def ask(self, number: int, ref: OperatorRef, where: str) -> None:
        try:
            spec = self.registry.get(ref.name)
            needs = settings_of_needs(ref, spec, self.steps)
            instance = self.registry.bind(ref.name, ref.settings, alias=ref.as_, with_=needs, over=ref.over)
        except SluiceError as error:
            error.where = error.where or where
            raise
        if spec.kind != "measure":
            raise PlanError(f"{ref.name!r} is a {spec.kind}, not a measure", where=where)
        instance = self.take(number, instance, where)
        if ref.when == "all":
            self.ungated.add(instance)

    def take(self, number: int, instance: Instance, where: str) -> Instance:
        """Measure this for a step; what is measured already (the same by another name of its settings) serves."""
        for output in instance.outputs:
            if output.name in self.known:
                raise PlanError(
                    f"{instance.spec.name!r} would make the column {output.name!r}, which the source has already",
                    where=where,
                    fix="give the measure another name with `as:`",
                )
            other = self.by_column.get(output.name)
            if other is not None and other.fingerprint != instance.fingerprint:
                raise PlanError(
                    f"two operators would both make the column {output.name!r}",
                    where=where,
                    fix="give one of them another name with `as:`",
                )
            instance = other or instance
            self.by_column[output.name] = instance
        self.first_step[instance] = min(number, self.first_step.get(instance, number))
        return instance

    def need(self, number: int, name: str, where: str) -> None:
        if name in self.known:
            return
        if name not in self.by_column:
            spec = self._made_by.get(name) or self._nearest(name, where)
            self.ask(number, OperatorRef.model_validate(spec.name), where)
        instance = self.by_column[name]
        self.first_step[instance] = min(number, self.first_step[instance])

    def _nearest(self, name: str, where: str) -> Spec:
        options = [*self._made_by, *self.known, *self.by_column]
        near = difflib.get_close_matches(name, options, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`sluice ops` lists what can be measured"
        raise PlanError(f"nothing makes a field {name!r}", where=where, fix=hint)


def _passes(recipe: Recipe, needs: _Needs, instances: Sequence[Instance]) -> tuple[MeasurePass, ...]:
    """One pass for all that is cheap; a further one wherever a dear operator follows a global step."""
    ends = [n + 1 for n, step in enumerate(recipe.steps) if isinstance(step, Dedup | Selector)]
    cheap = tuple(i for i in instances if i.cost not in GATED)
    places: dict[Instance, Place] = {}
    for instance in (i for i in instances if i.cost in GATED):
        at = needs.first_step[instance]
        if instance in needs.ungated:
            places[instance] = Place(0, ())
            continue
        after = max((end for end in ends if end <= at), default=0)
        # A rule after a step that drops items sees fewer than there are while measuring: it gates nothing.
        until = next((n for n, s in enumerate(recipe.steps) if s.drops_items), at)
        gates = tuple(n for n in range(after, min(at, until)) if isinstance(recipe.steps[n], Keep))
        places[instance] = Place(after, gates)
    gated: dict[int, list[Gated]] = {}
    for instance, place in sharing(places).items():
        gated.setdefault(place.after, []).append(Gated(instance, place.gates))
    order = sorted({0, *gated})
    return tuple(
        MeasurePass(
            cheap if after == 0 else (),
            tuple(sorted(gated.get(after, ()), key=lambda g: len(g.gates))),
            after,
        )
        for after in order
    )
