"""Questions to a finished run: what would other rules keep, and why did this sample go?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from pydantic import ValidationError

from sluice.errors import MissingError, UsageError
from sluice.operator import registry
from sluice.plan import leading_steps
from sluice.plan.dedup import threshold_of
from sluice.recipe.check import Fields, FieldType, check, check_items
from sluice.recipe.expression import Rule, fields_of
from sluice.recipe.recipe import Recipe
from sluice.recipe.steps import Dedup, DropItems, Keep, Step
from sluice.store.decide import decide
from sluice.store.fates import Fates, step_name
from sluice.store.opened import Run


def with_rules(recipe: Recipe, rules: Sequence[str]) -> Recipe:
    """The recipe with these rules in place of its own, where its first one stood; its other steps stay.

    Without any rule its own stay.
    """
    if not rules:
        return recipe
    # Without a rule of its own: after the mappers through whose new versions all was measured.
    start = leading_steps(recipe.steps)
    first = next((n for n, step in enumerate(recipe.steps) if isinstance(step, Keep)), start)
    others = [
        [s for s in part if not isinstance(s, Keep)] for part in (recipe.steps[:first], recipe.steps[first:])
    ]
    ours = [Keep.model_validate({"rule": rule}) for rule in rules]
    return recipe.replace(steps=(*others[0], *ours, *others[1]))


def with_thresholds(recipe: Recipe, thresholds: Mapping[str, float]) -> Recipe:
    """The recipe with these thresholds in its `dedup` steps, by the column that they compare.

    Raises UsageError where no step compares a column by a threshold.
    """
    steps = list(recipe.steps)
    for by, threshold in thresholds.items():
        which = [n for n, s in enumerate(steps) if isinstance(s, Dedup) and s.by == by and threshold_of(s)]
        if not which:
            known = [s.by for s in steps if isinstance(s, Dedup) and threshold_of(s)]
            raise UsageError(
                f"no step of this run removes near duplicates by {by!r}",
                fix=f"it compares {', '.join(map(repr, known))}" if known else "its recipe has no such step",
            )
        for number in which:
            steps[number] = _cut_at(steps[number], threshold)
    return recipe.replace(steps=tuple(steps))


def _cut_at(step: Step, threshold: float) -> Step:
    (name,) = threshold_of(step) if isinstance(step, Dedup) else ("",)
    data = step.payload(full=True) | {name: threshold}
    if (data["with"].get("floor") or -1) > threshold:  # what was stored for other thresholds bars none
        data["with"] = {**data["with"], "floor": threshold}
    try:
        return Dedup.model_validate({**data, "at": step.at})
    except ValidationError as error:
        raise UsageError(f"{threshold:g} cannot be a {name}: {error.errors()[0]['msg']}") from None


def what_if(run: Run, rules: Sequence[str], thresholds: Mapping[str, float] | None = None) -> Fates:
    """The fates under other rules, from stored columns alone: no media is read.

    `thresholds` of `dedup` steps go by the column that is compared. Duplicates are resolved anew among the new
    survivors by the stored pairs; `never_compared` counts those that no stored comparison covers. Raises
    RuleError for a wrong rule, MissingError for a field that this run never measured, or not of samples that
    these rules ask about, and for a threshold below which no pairs were stored.
    """
    recipe = with_thresholds(with_rules(run.recipe, rules), thresholds or {})
    fields = field_types(run)
    checked = Fields(fields, {m: count > 1 for m, count in run.table.max_items.items()})
    parsed: dict[int, Rule] = {}
    for number, step in enumerate(recipe.steps):
        if isinstance(step, Keep | DropItems):
            for found in fields_of(step.parsed.expr):
                _need_measured(run, found.name, fields)
            is_keep = isinstance(step, Keep)
            parsed[number] = check(step.parsed, checked) if is_keep else check_items(step.parsed, checked)[0]
    fates = decide(
        run.table,
        recipe.steps,
        parsed,
        registry(),
        run.store,
        fields=fields,
        item_errors=recipe.item_errors,
        compare=False,
    )
    for name, count in fates.never_measured.items():
        _refuse_absent(run, name, count)
    return fates


def field_types(run: Run) -> dict[str, FieldType]:
    """Every field of a run that a rule may name."""
    kinds: dict[str, Any] = {"string": "text", "large_string": "text", "bool": "bool"}
    fields = {
        "id": FieldType("id", "text"),
        "key": FieldType("key", "text"),
        "size_bytes": FieldType("size_bytes", "number", unit="bytes"),
    }
    for name, kind in run.table.passthrough.items():
        fields[name] = FieldType(name, kinds.get(kind, "number"))
    for name, column in run.table.columns.items():
        level: Any = "item" if column.modality else "sample"
        kind_of: Any = column.kind
        fields[name] = FieldType(name, kind_of, level, modality=column.modality, unit=column.unit)
    return fields


def _need_measured(run: Run, name: str, fields: dict[str, FieldType]) -> None:
    if name in fields:
        return
    made_by = {o.name for spec in registry() for o in spec.outputs}
    if name in made_by:
        raise MissingError(
            f"{name!r} was not measured in this run; computing it takes one read of {len(run.table):,} samples",
            where=run.place.output.url,
            fix=f"add `- measure: {name}` to the recipe and run it again: only that column is computed",
        )


def _refuse_absent(run: Run, name: str, count: int) -> NoReturn:
    operator = next((c.operator for c in run.lock.columns if c.column == name), name)
    raise MissingError(
        f"{name!r} was never computed for {count:,} of the {len(run.table):,} samples that these rules ask "
        "about: a rule of the run had dropped them before",
        where=run.place.output.url,
        fix=f"measure it for all: `- measure: {{{operator}: {{when: all}}}}`, then run the recipe again",
    )


def why(run: Run, key: str) -> list[dict[str, Any]]:
    """All that is known of the samples with this key or id: fate, values, rules with margins, twins, errors.

    Reads one row group of each file. Raises UsageError where there is no such sample.
    """
    found = []
    ordinals = run.table.find(key)
    for ordinal, row in zip(ordinals, run.table.rows(ordinals), strict=True):
        if key in (row["key"], row["id"]):
            found.append(_explained(run, ordinal, row))
    found += [_parent(run, parent) for parent in run.parents("key = ? OR id = ? ORDER BY ordinal", key, key)]
    if not found:
        near = run.query("SELECT key FROM samples WHERE contains(key, ?) ORDER BY ordinal LIMIT 3", key)
        names = ", ".join(repr(k) for k in near.column("key").to_pylist())
        raise UsageError(
            f"no sample of this run has the key or id {key!r}",
            where=run.place.output.url,
            fix=f"did you mean {names}?" if names else "keys are listed in selection.parquet",
        )
    return found


def _parent(run: Run, parent: dict[str, Any]) -> dict[str, Any]:
    """A sample that a splitter took apart: what became of it, and of how many children."""
    first, count = parent["first_child"], parent["children"]
    fates = run.query(
        "SELECT fate, count(*) AS n FROM fates WHERE ordinal >= ? AND ordinal < ? GROUP BY fate ORDER BY fate",
        first or 0,
        (first or 0) + count,
    ).to_pylist()
    told = {name: parent[name] for name in ("id", "key", "fate", "reason", "detail")}
    return {**told, "children": count, "children_fates": {row["fate"]: row["n"] for row in fates}}


def _explained(run: Run, ordinal: int, row: dict[str, Any]) -> dict[str, Any]:
    (fate,) = run.query("SELECT * FROM fates WHERE ordinal = ?", ordinal).to_pylist()
    rules = []
    for number, step in enumerate(run.recipe.steps):
        name = step_name(number, step)
        if isinstance(step, Keep):
            parts = [
                {
                    "comparison": m.text,
                    "margin": _scaled(fate[m.column], m.scale),
                    "margin_iqr": fate[m.column],
                }
                for m in run.margins
                if m.step == number
            ]
            failing = name in (fate["failing"] or [])
            unjudged = fate["fate"] == "failed" or (not failing and _is_absent(row, step))
            verdict = None if unjudged else not failing
            rules.append({"name": name, "rule": step.rule, "passes": verdict, "margins": parts})
    twins = run.query(
        "SELECT key, rule, similarity FROM fates WHERE duplicate_of = ? ORDER BY ordinal LIMIT 100", ordinal
    ).to_pylist()
    kept_twin = None
    if fate["duplicate_of"] is not None:
        (kept_twin,) = run.query(
            "SELECT key, id FROM fates WHERE ordinal = ?", fate["duplicate_of"]
        ).to_pylist()
    return {
        "id": row["id"],
        "key": row["key"],
        "parent": _parent_of(run, row["parent"]),
        "fate": fate["fate"],
        "decided_by": fate["rule"],
        "failing": fate["failing"],
        "reason": fate["reason"],
        "shard": fate.get("shard"),
        "duplicate_of": kept_twin,
        "similarity": fate["similarity"],
        "similarity_is": _similarity_is(run, fate["rule"]),
        "duplicates": [
            {
                "key": twin["key"],
                "similarity": twin["similarity"],
                "similarity_is": _similarity_is(run, twin["rule"]),
            }
            for twin in twins
        ],
        "values": {
            n: row[n] for n, c in run.table.columns.items() if n in row and c.kind not in ("bits", "binary")
        },
        "rules": rules,
        "notes": row.get("notes") or [],
        "items": _items(row["items"], fate.get("items_dropped")),
    }


def _items(
    items: Sequence[Mapping[str, Any]], lost: Sequence[Mapping[str, Any]] | None
) -> list[dict[str, Any]]:
    """A sample's items, each with what befell it, None where it shares the sample's fate."""
    befell = {each["item"]: {k: each[k] for k in ("fate", "rule", "reason")} for each in lost or ()}
    told = ("modality", "name", "uri", "size")
    return [{**{k: item[k] for k in told}, "lost": befell.get(i)} for i, item in enumerate(items)]


def _parent_of(run: Run, id: str | None) -> dict[str, Any] | None:
    """The sample that a splitter made this one from."""
    for parent in run.parents("id = ?", id) if id is not None else ():
        return {"id": parent["id"], "key": parent["key"], "children": parent["children"]}
    return None


_SIMILARITY_IS = {"bits": "distance", "vector": "cosine", "binary": "jaccard"}


def _similarity_is(run: Run, rule: str | None) -> str | None:
    """What the similarity is that a step stored: bits of `distance`, a `cosine`, a `jaccard` similarity, or
    `identity`; None for others."""
    for number, step in enumerate(run.recipe.steps):
        if isinstance(step, Dedup) and step_name(number, step) == rule:
            column = run.table.columns.get(step.by)
            return _SIMILARITY_IS.get(column.kind if column else "", "identity")
    return None


def _is_absent(row: dict[str, Any], step: Keep) -> bool:
    """Whether the rule looks at what was never measured of this sample."""
    return any(row.get(f"{found.name}__absent") for found in fields_of(step.parsed.expr))


def _scaled(margin: float | None, scale: float) -> float | None:
    return None if margin is None else margin * scale
