"""Writes a recommendation as a recipe with its lock: the run's own recipe, and rules that choose what was better."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sluice.errors import UsageError
from sluice.recipe.lock import Lock
from sluice.recipe.recipe import Recipe
from sluice.recipe.steps import Keep
from sluice.sandbox.operators import conditions_of
from sluice.sandbox.recommend import Recommendation
from sluice.storage import Location
from sluice.store.opened import Run
from sluice.store.rules import layout_of

RECIPE, LOCK = "recipe.yaml", "recipe.lock.yaml"
Origin = Mapping[str, Any]
"""How a pool came to be, as it remembers it."""
Cuts = Mapping[str, tuple[float, float]]
"""Of each measure the greatest value of its low third, and of its middle third."""


def write_proposal(found: Recommendation, pools: Mapping[str, Origin], folder: Path) -> Path:
    """Write `recipe.yaml` and `recipe.lock.yaml` into the folder, by the origins of the pools; returns the recipe.

    The recipe is that of the run that the pools were drawn from, with a rule for each condition; where nothing was
    found it is unchanged. What it should gain stands in its first lines. The lock is the run's, with this recipe:
    nothing needs to be measured that was not. `UsageError` where the pools were drawn from a table.
    """
    run = _run(pools)
    lists = {name for name, place in layout_of(run.table).items() if place.is_list}
    cuts = cuts_of(pools)
    rules = [rule_of(measure, part, cuts, lists) for measure, part in conditions_of(found.arm or "")]
    steps = (*run.recipe.steps, *(Keep.model_validate({"rule": rule}) for rule in rules))
    recipe = run.recipe.replace(steps=steps)
    folder.mkdir(parents=True, exist_ok=True)
    Location(folder / LOCK).write(_locked(run.lock, recipe).to_yaml().encode())
    text = "".join(f"# {line}\n" for line in told(found)) + recipe.to_yaml()
    Location(folder / RECIPE).write(text.encode())
    return folder / RECIPE


def told(found: Recommendation) -> list[str]:
    """The recommendation in a few lines."""
    lines = []
    if found.arm is not None:
        gain = (
            f"{found.gain:.4g}"
            if found.low is None
            else f"{found.gain:.4g} ({found.low:.4g} to {found.high:.4g})"
        )
        change = "" if found.change is None else f", {100 * found.change:+.2f} %"
        lines.append(
            f"Expected gain in {found.metric}: {gain}{change}, at {1 - found.alpha:.0%} for all arms at once."
        )
    lines += found.steps
    if found.not_distinguishable:
        lines.append("Not distinguishable from the control: " + ", ".join(found.not_distinguishable))
    return lines


def cuts_of(pools: Mapping[str, Origin]) -> dict[str, tuple[float, float]]:
    """Where the measures of the pools were cut into thirds, as far as the pools remember."""
    found: dict[str, tuple[float, float]] = {}
    for origin in pools.values():
        known: dict[str, Any] = dict(origin.get("cuts") or {})
        if origin.get("kind") == "single":
            known[origin["measure"]] = (origin["low_max"], origin["mid_max"])
        found |= {m: (low, mid) for m, (low, mid) in known.items() if low is not None and mid is not None}
    return found


def rule_of(measure: str, part: str, cuts: Cuts, lists: set[str]) -> str:
    """The rule that keeps one third of a measure; of several items of a sample their mean counts, as in pools."""
    value = f"mean({measure})" if measure in lists else measure
    if part == "null":
        return f"{value} is null"
    if measure not in cuts:
        raise UsageError(
            f"where {measure} was cut into thirds is not known",
            fix="draw the pools again, with the measure among `measures`",
        )
    low, mid = (f"{int(cut)}" if float(cut).is_integer() else repr(cut) for cut in cuts[measure])
    return {
        "low": f"{value} <= {low}",
        "mid": f"{value} > {low} and {value} <= {mid}",
        "high": f"{value} > {mid}",
    }[part]


def _run(pools: Mapping[str, Origin]) -> Run:
    place = next((origin["run"] for origin in pools.values() if origin.get("run")), None)
    if place is None:
        raise UsageError(
            "the pools were drawn from a table, which has no recipe to go by",
            fix="draw them with `run: PATH`",
        )
    return Run.open(str(place))


def _locked(lock: Lock, recipe: Recipe) -> Lock:
    data = recipe.to_data(full=True)
    seeds = {f"steps.{n}": s.seed for n, s in enumerate(recipe.steps) if hasattr(s, "seed")}
    return lock.model_copy(update={"recipe": data, "seeds": seeds})
