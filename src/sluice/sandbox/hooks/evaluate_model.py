"""How good is every trained model?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from sluice.errors import TrialError, UsageError
from sluice.sandbox.chosen import EvaluatorSetting
from sluice.sandbox.experiment import MODELS, Score, score_table, scores_of
from sluice.sandbox.registry import Outlook, hook
from sluice.sandbox.train.at_once import AtOnce, refuse_crowd
from sluice.sandbox.train.protocol import Evaluator
from sluice.sandbox.train.results import evaluated
from sluice.sandbox.train.trials import Trial, carry_out, foreseen
from sluice.sandbox.workflow.job import Job


def _outlook(job: Job, taken: Mapping[str, Any], settings: Mapping[str, Any]) -> Outlook:
    made: Evaluator = settings["evaluator"].make()
    models = taken["models"] if "models" in taken else MODELS.empty_table()
    trials = Trial.all_of(job.folder / "runs", models, taken.get("answers"))
    scores = [Score(trial.arm, trial.seed, metric, None) for trial in trials for metric in made.metrics]
    return foreseen(trials, made, settings["at_once"], {"scores": score_table(scores)})


@hook(gives=("scores", "better"), resumes=True, outlook=_outlook)
def evaluate_model(
    job: Job,
    models: pa.Table,
    answers: pa.Table | None = None,
    scores: pa.Table | None = None,
    better: Mapping[str, str] | None = None,
    *,
    evaluator: EvaluatorSetting,
    data: Path | None = None,
    at_once: AtOnce = 1,
) -> dict[str, Any]:
    """Judge every model that `train` left, on the held-out set `data` or by the answers that `infer` got.

    Gives a score for each model and metric, without a value where there is no model or no result, with the reason;
    and for each metric whether `higher` or `lower` is better. Scores of earlier jobs for the same models stay beside
    them, so that several of these jobs make one table.
    """
    if answers is not None and data is not None:
        raise UsageError(
            "both held-out data and answers are given", fix="leave `data` out, or take no answers"
        )
    made: Evaluator = evaluator.make()
    refuse_crowd(made, evaluator.name, at_once)
    rows = models.to_pylist()
    sets = {(a["arm"], a["seed"]): a for a in answers.to_pylist()} if answers is not None else {}

    def one(trial: Trial) -> Mapping[str, Any]:
        given = sets.get((trial.arm, trial.seed), {"answers": None, "reason": ""})
        if models_of[trial] is None or given["reason"]:
            raise TrialError(reasons[trial] or given["reason"])
        judged = job.experiment / given["answers"] if given["answers"] else data and data.absolute()
        return {"metrics": evaluated(made, job.experiment / str(models_of[trial]), judged, trial)}

    trials = Trial.all_of(job.folder / "runs", models, answers)
    models_of = {t: row["model"] for t, row in zip(trials, rows, strict=True)}
    reasons = {t: row["reason"] for t, row in zip(trials, rows, strict=True)}
    records = carry_out(trials, one, at_once=at_once, say=job.say)
    found = list(told(trials, records, made))
    kept = _others(scores_of(scores) if scores is not None else [], found, trials)
    known = {score.metric: (better or {})[score.metric] for score in kept if score.metric in (better or {})}
    return {"scores": score_table([*kept, *found]), "better": known | dict(made.metrics)}


def told(
    trials: Sequence[Trial], records: Sequence[Mapping[str, Any]], evaluator: Evaluator
) -> Iterator[Score]:
    """The scores of finished evaluations: every metric of every trial, also where it has no value."""
    for trial, record in zip(trials, records, strict=True):
        for name in evaluator.metrics:
            value = record.get("metrics", {}).get(name)
            yield Score(trial.arm, trial.seed, name, value, record["reason"])


def _others(before: Iterable[Score], now: Sequence[Score], trials: Sequence[Trial]) -> list[Score]:
    """Earlier scores of the same models in other metrics; those of a round before have other models."""
    metrics, models = {s.metric for s in now}, {(t.arm, t.seed) for t in trials}
    return [s for s in before if s.metric not in metrics and (s.arm, s.seed) in models]
