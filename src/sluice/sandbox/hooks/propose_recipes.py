"""Which recipe follows from what was found?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field

from sluice.sandbox.experiment import scores_of
from sluice.sandbox.hooks.rank_operators import chosen_metric
from sluice.sandbox.pools import Pool
from sluice.sandbox.proposal import told, write_proposal
from sluice.sandbox.recommend import best_conditions, recommend
from sluice.sandbox.registry import hook
from sluice.sandbox.statistics import Comparison
from sluice.sandbox.workflow.job import Job


@hook(gives=("recipes", "recommendation"))
def propose_recipes(
    job: Job,
    pools: Path,
    comparison: Sequence[Mapping[str, Any]],
    scores: pa.Table | None = None,
    ranking: Mapping[str, Any] | None = None,
    clusters: Mapping[str, Any] | None = None,
    *,
    metric: str | None = None,
    k: Annotated[int, Field(ge=1)] | None = None,
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05,
) -> dict[str, Any]:
    """Write the recipe of the arm to take, with its lock, and say what it should gain.

    Arms with more conditions are taken only where they are better than one with fewer, by a paired test over `scores`.
    With `k` only the first `k` conditions that `cluster_operators` or `rank_operators` chose are combined. Where no arm
    is better than the control the recipe is that of the run the pools were drawn from, unchanged. `recipes` is a
    folder with `recipe.yaml` and `recipe.lock.yaml`, which `process` takes.
    """
    compared = [Comparison.from_row(row) for row in comparison]
    chosen = clusters or ranking
    found = recommend(
        compared,
        chosen_metric(compared, metric),
        scores=scores_of(scores) if scores is not None else (),
        among=best_conditions(chosen, k) if chosen is not None and k is not None else None,
        alpha=alpha,
    )
    folder = job.folder / "recipes"
    write_proposal(found, Pool.origins(pools), folder)
    for line in told(found):
        job.say(line)
    return {"recipes": folder, "recommendation": found.to_data()}
