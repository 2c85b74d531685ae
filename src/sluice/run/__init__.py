"""From passes to results: runs a recipe on an engine, and writes what came of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluice.operator import Registry
    from sluice.recipe.recipe import Recipe
    from sluice.run.engine import Engine

__all__ = ["run"]


def run(
    recipe: Recipe,
    *,
    output: str | None = None,
    run_dir: str | None = None,
    store: str | None = None,
    workers: int | None = None,
    engine: Engine | None = None,
    strict: bool = False,
    update: bool = False,
    retry_failed: bool = False,
    quiet: bool = False,
    operators: Registry | None = None,
) -> dict[str, Any]:
    """Run a recipe to the end and return the summary of `sluice run --json`.

    An interrupted run in the same output is continued; what the store knows is not computed again. `workers`
    defaults to the usable cores (0: in this process, without limits). `strict` stops at the first failure,
    `update` lets another recipe take over the output, `retry_failed` measures samples again whose operator
    hung or died. Raises SluiceError; see `sluice.errors`.
    """
    own = engine is None
    # The engine first: its fork server imports what workers need while the recipe is resolved here.
    chosen = engine or local_engine(recipe, workers)
    try:
        from sluice.run.execute import Options, execute
        from sluice.run.prepare import prepare

        prepared = prepare(
            recipe, output=output, run=run_dir, store=store, operators=operators, retry_failed=retry_failed
        )
        summary = execute(prepared, chosen, Options(strict=strict, update=update, quiet=quiet))
    finally:
        if own:
            chosen.close()
    prepared.run.summary.write(json.dumps(summary, indent=1, ensure_ascii=False).encode())
    prepared.run.write_facts(
        {
            "output": prepared.run.output.url,
            "store": prepared.store.url,
            "table": summary["table"],
            "source": {
                "url": prepared.source.url,
                "format": prepared.source.format,
                "root": prepared.source.root,
                "columns": dict(prepared.source.columns) if prepared.source.columns else None,
                "settings": dict(prepared.source.settings),
            },
        }
    )
    return summary


def local_engine(recipe: Recipe, workers: int | None = None) -> Engine:
    """An engine of processes on this machine, with the recipe's limits."""
    from sluice.codec.limits import Limits
    from sluice.run.engine import WorkerLimits
    from sluice.run.local import LocalEngine

    own = recipe.limits
    limits = WorkerLimits(sample_s=own.sample_s, memory_mb=own.memory_mb, codec=Limits(image_px=own.image_px))
    return LocalEngine(workers, limits, preload=("sluice.cli",))
