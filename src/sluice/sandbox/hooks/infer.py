"""What do the trained models answer?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from sluice.errors import TrialError
from sluice.sandbox.chosen import InferencerSetting
from sluice.sandbox.experiment import MODELS
from sluice.sandbox.registry import Outlook, hook
from sluice.sandbox.train.at_once import AtOnce, refuse_crowd
from sluice.sandbox.train.protocol import Inferencer
from sluice.sandbox.train.trials import Trial, carry_out, foreseen
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


def _outlook(job: Job, taken: Mapping[str, Any], settings: Mapping[str, Any]) -> Outlook:
    models = taken["models"] if "models" in taken else MODELS.empty_table()
    trials = Trial.all_of(job.folder / "runs", models)
    return foreseen(trials, settings["inferencer"].make(), settings["at_once"], {})


@hook(gives=("answers",), resumes=True, outlook=_outlook)
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
    given = {(row["arm"], row["seed"]): row for row in models.to_pylist()}

    def one(trial: Trial) -> Mapping[str, Any]:
        row = given[trial.arm, trial.seed]
        if row["model"] is None:
            raise TrialError(row["reason"])
        model = job.experiment / row["model"]
        found = made.infer(model, prompts.absolute(), trial.output, seed=trial.seed, log=trial.log)
        return {"answers": job.inside(found)}

    trials = Trial.all_of(job.folder / "runs", models)
    records = carry_out(trials, one, at_once=at_once, say=job.say)
    told = [
        {"arm": t.arm, "seed": t.seed, **r, "answers": r.get("answers"), "reason": r["reason"] or None}
        for t, r in zip(trials, records, strict=True)
    ]
    return {"answers": pa.Table.from_pylist(told, schema=ANSWERS)}
