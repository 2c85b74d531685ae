"""Thresholds of a recipe by the distribution of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from sluice.errors import UsageError
from sluice.recipe.load import load
from sluice.sandbox.hooks.process import run_of
from sluice.sandbox.refine.columns import columns_of_run
from sluice.sandbox.refine.measured import Measured
from sluice.sandbox.refine.methods import Side, Span, k_sigma, percentiles, target_yield
from sluice.sandbox.refine.thresholds import refine, stated
from sluice.sandbox.registry import hook
from sluice.sandbox.workflow.job import Job
from sluice.storage import Location
from sluice.store.opened import Run


@hook(gives=("recipe", "thresholds"))
def refine_thresholds(
    job: Job,
    processed: Mapping[str, Any] | None = None,
    *,
    run: str | None = None,
    table: str | None = None,
    recipe: str | None = None,
    method: Literal["k_sigma", "percentile", "target_yield"] = "k_sigma",
    fields: tuple[str, ...] = (),
    k: Annotated[float, Field(gt=0)] = 3.0,
    low: Annotated[float, Field(ge=0, le=1)] = 0.05,
    high: Annotated[float, Field(ge=0, le=1)] = 0.95,
    share: Annotated[float, Field(gt=0, le=1)] = 0.5,
) -> dict[str, Any]:
    """Replace the thresholds in the `keep` rules of a recipe; gives the refined recipe and what became of each.

    The measures are those of a finished `run` (or what `process` gave), whose own recipe is refined unless `recipe`
    names one; or the columns of a Parquet `table`, with a `recipe`. `method: k_sigma` keeps mean ± `k`·σ (3 as in
    the Data-Juicer Sandbox), `percentile` what lies between the shares `low` and `high` of each distribution,
    `target_yield` the `share` of all samples that lies deepest in all distributions together. `fields` are the ones
    to refine: all that the recipe bounds, where none are named; one without a rule gets one. A threshold stays
    within what its field can be, and is whole where values are; a field that is constant or was never measured
    keeps what it had, with a note.
    """

    def chosen(found: Sequence[Measured], sides: Mapping[str, Side]) -> Mapping[str, Span]:
        if method == "target_yield":
            return target_yield(found, sides, share)
        if method == "k_sigma":
            return {each.name: k_sigma(each, k) for each in found}
        return {each.name: percentiles(each, *sorted((low, high))) for each in found}

    place = run_of(processed, run)
    opened = Run.open(place) if place and table is None else None
    if table is None and opened is None:
        raise UsageError(
            "there are no measures to refine by",
            fix="give `run: PATH` or `table: FILE`, or a job before with the hook `process`",
        )
    if opened is None and recipe is None:
        raise UsageError("a table has no recipe of its own", fix="say which one to refine: `recipe: FILE`")
    asked = load(str(recipe)) if recipe or opened is None else opened.recipe
    names = [*fields, *stated(asked)]
    measures = _of_table(str(table), names) if opened is None else columns_of_run(opened, names)
    refined = refine(asked, measures, chosen, fields)
    path = job.folder / "recipe.yaml"
    Location(path).write(refined.recipe.to_yaml().encode())
    job.say(f"{refined.kept:.1%} of the samples lie within all thresholds")
    return {
        "recipe": path,
        "thresholds": {"kept": refined.kept, "fields": [each.to_data() for each in refined.thresholds]},
    }


def _of_table(path: str, names: Sequence[str]) -> pa.Table:
    known = pq.read_schema(path).names
    return pq.read_table(path, columns=[name for name in dict.fromkeys(names) if name in known])
