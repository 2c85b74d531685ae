"""Which deduplicator a `dedup` step means, and what it cannot do: found out before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping

from sluice.errors import PlanError, SluiceError
from sluice.operator import Instance, Registry
from sluice.ops.dedup.products import products_on
from sluice.recipe.check import FieldType
from sluice.recipe.steps import Dedup

CENTROID = ("centroid_far", "centroid_near")
"""Keep policies by the distance from the centroid of a vector's cluster."""

_BY = {
    "text": "hash",
    "number": "hash",
    "bool": "hash",
    "bits": "bits",
    "vector": "vector",
    "binary": "binary",
}
_TAKES = {
    "bits": "`distance:` (bits)",
    "vector": "`similarity:` (cosine)",
    "binary": "`similarity:` (Jaccard)",
}


def threshold_of(step: Dedup) -> dict[str, float]:
    """The threshold a step gives, by its name; empty where values must be equal."""
    given = {"distance": step.distance, "similarity": step.similarity}
    return {name: value for name, value in given.items() if value is not None}


def deduplicator_for(step: Dedup, kind: str, registry: Registry) -> Instance:
    """The deduplicator of a step: by what its column holds and which threshold it gives.

    Without a threshold values must be equal. Raises PlanError where the threshold, or a setting of `with`,
    does not fit the column.
    """
    where, threshold = str(step.at), threshold_of(step)
    by = _BY[kind] if threshold else "hash"
    for spec in registry if threshold or kind not in ("vector", "binary") else ():
        if (
            spec.kind == "deduplicator"
            and spec.by == by
            and set(threshold) <= set(spec.settings.model_fields)
        ):
            try:
                return registry.bind(spec.name, {**step.with_, **threshold})
            except SluiceError as error:
                error.where = error.where or where
                raise
    given = " and ".join(f"`{name}`" for name in threshold) or "equality"
    raise PlanError(
        f"`dedup` by {step.by!r} cannot use {given}",
        where=where,
        fix=f"{step.by!r} takes {_TAKES.get(kind, 'no threshold')}",
    )


def check_dedup(step: Dedup, fields: Mapping[str, FieldType], registry: Registry) -> None:
    """Raise PlanError for a step that could not be carried out, MissingError where its device is not here."""
    where, kind = str(step.at), fields[step.by].kind
    settings = deduplicator_for(step, kind, registry).settings
    floor, similarity = settings.get("floor"), settings.get("similarity")
    if floor is not None and similarity is not None and floor > similarity:
        what = f"`floor` ({floor:g}) lies above `similarity` ({similarity:g})"
        raise PlanError(what, where=where, fix="leave it out, or lower it")
    if settings.get("device") == "cuda":
        products_on("cuda")
    if step.keep_by in CENTROID and (kind != "vector" or step.level == "item"):
        what = "compares whole samples" if kind == "vector" else "looks at vectors"
        fix = "keep by `first`, `random`, or fields such as `image_width_px desc`"
        raise PlanError(f"`keep_by: {step.keep_by}` {what}", where=where, fix=fix)
    if step.level == "item" and fields[step.by].level != "item":
        raise PlanError(
            f"{step.by!r} is a value of the sample, not of its items", where=where, fix="leave `level` out"
        )
    for name, _ in step.order:
        if fields[name].kind in ("vector", "bits", "binary"):
            fix = "keep by a number, a text, or true and false"
            raise PlanError(f"{name!r} holds {fields[name].kind}, which have no order", where=where, fix=fix)
