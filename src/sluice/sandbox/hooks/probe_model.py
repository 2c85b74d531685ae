"""How good is the model that everything starts from?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sluice.errors import UsageError
from sluice.sandbox.chosen import EvaluatorSetting
from sluice.sandbox.experiment import score_table
from sluice.sandbox.hooks.evaluate_model import told
from sluice.sandbox.registry import hook
from sluice.sandbox.train.at_once import AtOnce, refuse_crowd
from sluice.sandbox.train.protocol import Evaluator
from sluice.sandbox.train.results import evaluated
from sluice.sandbox.train.seeds import Seeds
from sluice.sandbox.train.trials import Trial, carry_out
from sluice.sandbox.workflow.job import Job

BASELINE = "baseline"
"""Name of the model that everything starts from, among arms."""


@hook(gives=("baseline",), resumes=True)
def probe_model(
    job: Job,
    *,
    model: Path,
    evaluator: EvaluatorSetting,
    data: Path | None = None,
    seeds: Seeds = (1,),
    at_once: AtOnce = 1,
) -> dict[str, Any]:
    """Judge a model as it is, before any training, with every seed (of one that draws nothing, one is enough).

    Gives a table of scores of the arm `baseline`.
    """
    if not model.exists():
        raise UsageError("there is no model here", where=str(model), fix="check `model`")
    made: Evaluator = evaluator.make()
    refuse_crowd(made, evaluator.name, at_once)

    def one(trial: Trial) -> Mapping[str, Any]:
        return {"metrics": evaluated(made, model.absolute(), data and data.absolute(), trial)}

    trials = [Trial.of(job.folder / "runs", BASELINE, seed) for seed in seeds]
    records = carry_out(trials, one, at_once=at_once, say=job.say)
    return {"baseline": score_table(told(trials, records, made))}
