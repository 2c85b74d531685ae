"""Converts clips to a training set in bins: a format that is laid out by a measure needs a run, not a copy."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq

from sluice.recipe.recipe import Recipe, Source, Write
from sluice.recipe.steps import Keep, Measure
from sluice.storage import Location
from sluice.storage.scratch import scratch
from sluice.store import RunDir

BIN = "video_bin"


def convert_bins(
    source: Source,
    target: str,
    format: str,
    packing: Mapping[str, Any],
    settings: Mapping[str, Any],
    valid_only: bool,
    quiet: bool,
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Write all clips of a source into their bins, those below 720 px too; the run's summary, and failures by key.

    With `valid_only` clips that are not `valid` are dropped.

    What a run remembers is not kept: only the training set is left.
    """
    from sluice.run import run

    valid = (Keep.model_validate({"rule": "valid = true"}),) if valid_only else ()
    steps = (*valid, Measure.model_validate({"operators": [{BIN: {"keep_low": True}}]}))
    write = Write(path=target, format=format, partition_by=BIN, settings=dict(settings), **packing)
    recipe = Recipe.model_validate({"name": "convert", "source": source, "steps": steps, "write": write})
    with scratch("sluice-convert") as folder:
        summary = run(
            recipe, output=target, run_dir=f"{folder}/run", store=f"{folder}/store", workers=0, quiet=quiet
        )
        place = RunDir.of(Location(target))
        table = pq.read_table(io.BytesIO(place.selection.read()), columns=["key", "fate", "reason"])
    for left in (place.selection, place.output / "dataset.json"):
        left.delete()
    failed = [(row["key"], row["reason"]) for row in table.to_pylist() if row["fate"] == "failed"]
    return summary, failed
