"""Thresholds of a recipe by the distribution of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from sluice.recipe.load import load
from sluice.sandbox.refine.measured import Measured
from sluice.sandbox.refine.methods import Side, Span, k_sigma, percentiles, target_yield
from sluice.sandbox.refine.thresholds import refine
from sluice.sandbox.registry import hook
from sluice.sandbox.workflow.job import Job
from sluice.storage import Location


@hook(gives=("recipe", "thresholds"))
def refine_thresholds(
    job: Job,
    measures: pa.Table | Path,
    *,
    recipe: str,
    method: Literal["k_sigma", "percentile", "target_yield"] = "k_sigma",
    fields: tuple[str, ...] = (),
    k: Annotated[float, Field(gt=0)] = 3.0,
    low: Annotated[float, Field(ge=0, le=1)] = 0.05,
    high: Annotated[float, Field(ge=0, le=1)] = 0.95,
    share: Annotated[float, Field(gt=0, le=1)] = 0.5,
) -> dict[str, Any]:
    """Replace the thresholds in the `keep` rules of a recipe, and give the refined recipe and what became of each.

    `measures` are the columns of a run, a row a sample. `method: k_sigma` keeps mean ± `k`·σ (3 as in the Data-Juicer
    Sandbox), `percentile` what lies between the shares `low` and `high` of each distribution, `target_yield` the
    `share` of all samples that lies deepest in all of them together. `fields` are the ones to refine: all that the
    recipe bounds, where none are named; one without a rule gets one. A threshold stays within what its field can be,
    and is whole where values are; a field that is constant or never measured keeps what it had, with a note.
    """

    def chosen(found: Sequence[Measured], sides: Mapping[str, Side]) -> Mapping[str, Span]:
        if method == "target_yield":
            return target_yield(found, sides, share)
        if method == "k_sigma":
            return {each.name: k_sigma(each, k) for each in found}
        return {each.name: percentiles(each, *sorted((low, high))) for each in found}

    table = pq.read_table(measures) if isinstance(measures, Path) else measures
    refined = refine(load(recipe), table, chosen, fields)
    path = job.folder / "recipe.yaml"
    Location(path).write(refined.recipe.to_yaml().encode())
    job.say(f"{refined.kept:.1%} of the samples lie within all thresholds")
    return {
        "recipe": path,
        "thresholds": {"kept": refined.kept, "fields": [each.to_data() for each in refined.thresholds]},
    }
