"""A small measured run, and trainers and evaluators that are a few lines of arithmetic, for tests of hooks."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from sluice.errors import TrialError
from sluice.recipe.load import loads
from sluice.run import run
from sluice.sandbox.hooks.pools import read_pools
from sluice.sandbox.registry import Registry, declarations, evaluator, hook, registry, trainer
from sluice.sandbox.train.exported import Exported
from sluice.sandbox.train.protocol import Better, Trained
from sluice.sandbox.workflow.job import Job

PICTURES = 24

RULES = """
source: {path: in}
steps:
  - measure: [image_contrast]
  - keep: {rule: image_width_px >= 16, name: too small}
  - keep: {rule: text_word_count >= 1, name: no caption}
write: {path: out}
"""


def captioned_run(folder: Path) -> Path:
    """A finished run over 24 captioned pictures of growing width and contrast, and one that is broken; its output."""
    source = folder / "in"
    source.mkdir(parents=True)
    for k in range(PICTURES):
        coarse = np.random.default_rng(k).integers(0, 4 + 10 * k, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((20 + k, 16)).save(source / f"p{k:02d}.png")
        (source / f"p{k:02d}.txt").write_text(f"number {k}, a picture")
    (source / "broken.png").write_bytes(b"no picture")
    (source / "broken.txt").write_text("nothing")
    run(loads(RULES, source=str(source)), output=str(folder / "out"), workers=0, quiet=True)
    return folder / "out"


@trainer
class counting:  # noqa: N801 - its name in a workflow
    """A model is the number of samples that it saw; it crashes with the seeds `fails`."""

    data_format = "parquet"

    def __init__(self, *, fails: tuple[int, ...] = (), diverges: tuple[int, ...] = ()) -> None:
        self.fails, self.diverges = fails, diverges

    def train(self, data: Path, output: Path, *, seed: int, log: Path) -> Trained:
        found = Exported.read(data)
        log.write_text(f"{found.samples} samples\n")
        if seed in self.fails:
            raise ZeroDivisionError("planted\nsecond line")
        (output / "model.json").write_text(json.dumps({"samples": found.samples, "seed": seed}))
        diverged = "loss is NaN at step 3" if seed in self.diverges else None
        metrics = {} if diverged else {"loss": 1 / seed}
        return Trained(output / "model.json", metrics, found.samples, 0.5, 1000, diverged)


@evaluator
class sized:  # noqa: N801 - its name in a workflow
    """How many samples the model saw, and its seed beside it; of `data`, how many bytes it has."""

    metrics: ClassVar[Mapping[str, Better]] = {"samples": "higher", "bytes": "lower"}

    def __init__(self, *, silent: tuple[int, ...] = ()) -> None:
        self.silent = silent

    def evaluate(
        self, model: Path, data: Path | None, output: Path, *, seed: int, log: Path
    ) -> dict[str, float]:
        found = json.loads(model.read_text())
        if seed in self.silent:
            raise TrialError("no result: silent", "it said nothing")
        return {
            "samples": found["samples"] + seed / 100,
            "bytes": float(len(data.read_bytes())) if data else 0.0,
        }


@hook(gives=("pools",))
def first_of(job: Job, pools: Path, models: pa.Table) -> dict[str, Any]:
    """Under one name as many of the control's samples as models came to be; the control itself as it was."""
    control = read_pools(pools)["control"]
    there = pc.count(models.column("model")).as_py()
    (job.folder / "pools").mkdir()
    control.write(job.folder / "pools/control.parquet")
    replace(control, name="some", ids=control.ids[:there]).write(job.folder / "pools/some.parquet")
    return {"pools": job.folder / "pools"}


def components() -> Registry:
    """What is installed, and what this file declares."""
    known = registry()
    installed = [
        known.get(kind, name)
        for kind in ("hook", "trainer", "inferencer", "evaluator")
        for name in known.names(kind)
    ]
    return Registry([*installed, *declarations(__name__)])


def program(code: str, *arguments: str) -> dict[str, Any]:
    """A program of a few lines of Python, whose own braces are no placeholders."""
    return {"argv": [sys.executable, "-c", code.replace("{", "{{").replace("}", "}}"), *arguments]}
