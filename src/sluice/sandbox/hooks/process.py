"""What does a recipe keep?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from sluice.errors import UsageError
from sluice.recipe.load import load
from sluice.run import run
from sluice.sandbox.registry import hook
from sluice.sandbox.workflow.job import Job
from sluice.storage import Location


@hook(gives=("processed",), resumes=True)
def process(
    job: Job,
    recipes: Path | None = None,
    *,
    recipe: str | None = None,
    source: str | None = None,
    changes: tuple[str, ...] = (),
    output: str | None = None,
    store: str | None = None,
    workers: Annotated[int, Field(ge=0)] | None = None,
) -> dict[str, Any]:
    """Run a recipe: the file or ready recipe that `recipe` names, else the one that an earlier job proposed.

    `source` and `changes` (`write.shard_size=500MB`) change it on the way. Measures are kept in a store of the
    experiment, so that other recipes over the same source measure nothing twice; `store` and `output` say otherwise.
    Gives the summary of `sluice run --json`; its `run` is where the run lies.
    """
    wanted = load(_file(recipe, recipes), list(changes), source=source, output=None)
    job.say(f"running {wanted.title}")
    summary = run(
        wanted,
        output=output or str(job.folder / "curated"),
        store=store or str(job.experiment / "sluice-store"),
        workers=workers,
        quiet=True,
    )
    job.say(f"{summary['read']:,} read, {summary['kept']:,} kept, {summary['failed']:,} failed")
    return {"processed": summary}


def run_of(processed: Mapping[str, Any] | None, run: str | None) -> str | None:
    """Where the run lies that a hook is told of: `run` as a setting, else what `process` gave; None for neither.

    Absolute: a run may be given relative to where we were started, and pools are read from elsewhere, and later.
    """
    place = run or (str(processed["run"]) if processed else None)
    return Location(place).url if place else None


def _file(recipe: str | None, recipes: Path | None) -> str:
    if recipe is not None:
        return recipe
    if recipes is not None and recipes.is_file():
        return str(recipes)
    found = sorted(recipes.glob("**/*.yaml")) if recipes is not None else []
    found = [file for file in found if not file.name.endswith("lock.yaml")]
    if len(found) != 1:
        told = f"{len(found)} recipes were proposed" if recipes is not None else "there is no recipe to run"
        raise UsageError(told, fix="say which with `recipe: FILE`, or the name of a ready recipe")
    return str(found[0])
