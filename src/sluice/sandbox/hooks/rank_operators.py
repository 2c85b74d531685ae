"""Which operators choose better data?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from sluice.errors import UsageError
from sluice.recipe.nearest import did_you_mean
from sluice.sandbox.operators import operators, top
from sluice.sandbox.registry import hook
from sluice.sandbox.statistics import Comparison
from sluice.sandbox.workflow.job import Job


@hook(gives=("ranking",))
def rank_operators(
    job: Job,
    comparison: Sequence[Mapping[str, Any]],
    *,
    metric: str | None = None,
    k: Annotated[int, Field(ge=1)] = 3,
    sure: bool = True,
) -> dict[str, Any]:
    """Rank operators by the best third of their measure, and choose the top `k`, from what `compare` found.

    `metric` is the one to go by (the first compared). Only operators with a third that is better than the control have
    a rank, and only they are chosen; `sure: false` fills up the choice by mean effect alone. Gives `operators` (low,
    mid and high of each), `chosen` (names of thirds, as `conditions` of pools take them) and `note`.
    """
    found = [Comparison.from_row(row) for row in comparison]
    metric = chosen_metric(found, metric)
    ranked = operators(found, metric)
    best = top(ranked, k, sure=sure)
    known = sum(o.rank is not None for o in ranked)
    note = f"{known} of {len(ranked)} operators have a third that is better than the control in {metric}"
    if unsure := [c.arm for c in best if c.verdict != "better"]:
        note += f"; by mean effect alone: {', '.join(unsure)}"
    job.say(note)
    chosen = [c.arm for c in best]
    return {
        "ranking": {"metric": metric, "operators": [o.row() for o in ranked], "chosen": chosen, "note": note}
    }


def chosen_metric(found: Sequence[Comparison], metric: str | None) -> str:
    """The metric asked for, else the first compared; `UsageError` where there is none of that name."""
    known = list(dict.fromkeys(c.metric for c in found))
    if not known:
        raise UsageError("nothing was compared", fix="run `compare` over two arms or more before")
    if metric is not None and metric not in known:
        raise UsageError(
            f"the metric {metric!r} was not compared", fix=did_you_mean(metric, known, "compared:")
        )
    return metric or known[0]
