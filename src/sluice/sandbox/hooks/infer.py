"""What do the trained models answer?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from sluice.errors import TrialError
from sluice.sandbox.chosen import InferencerSetting
from sluice.sandbox.registry import hook
from sluice.sandbox.train.at_once import AtOnce, refuse_crowd
from sluice.sandbox.train.protocol import Inferencer
from sluice.sandbox.train.trials import Trial, carry_out
from sluice.sandbox.workflow.job import Job

ANSWERS = pa.schema(
    [
        pa.field("arm", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("answers", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("seconds", pa.float64()),
    ]
)
"""Columns of the table of answers: `answers` is a path below the experiment, null where there is none."""


@hook(gives=("answers",), resumes=True)
def infer(
    job: Job,
    models: pa.Table,
    *,
    inferencer: InferencerSetting,
    prompts: Path,
    at_once: AtOnce = 1,
) -> dict[str, Any]:
    """Let every trained model answer the prompts in a file or folder, for `evaluate_model` to judge.

    The seed is that of the model's training. A model that is not there, or gives no answers, has none, with the
    reason.
    """
    made: Inferencer = inferencer.make()
    refuse_crowd(made, inferencer.name, at_once)
    rows = models.to_pylist()
    given = {(row["arm"], row["seed"]): row for row in rows}

    def one(trial: Trial) -> Mapping[str, Any]:
        row = given[trial.arm, trial.seed]
        if row["model"] is None:
            raise TrialError(row["reason"])
        model = job.experiment / row["model"]
        found = made.infer(model, prompts.absolute(), trial.output, seed=trial.seed, log=trial.log)
        return {"answers": job.inside(found)}

    trials = [Trial.of(job.folder / "runs", row["arm"], row["seed"]) for row in rows]
    records = carry_out(trials, one, at_once=at_once, say=job.say)
    told = [
        {"arm": t.arm, "seed": t.seed, **r, "answers": r.get("answers"), "reason": r["reason"] or None}
        for t, r in zip(trials, records, strict=True)
    ]
    return {"answers": pa.Table.from_pylist(told, schema=ANSWERS)}
