"""What a trainer or an evaluator gave, or why that is no result: one place says what counts."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from sluice.errors import TrialError
from sluice.sandbox.train.protocol import Evaluator, Trained, Trainer
from sluice.sandbox.train.trials import Trial


def trained(trainer: Trainer, data: Path, trial: Trial) -> Trained:
    """What training left; `TrialError` where it diverged, or one of its metrics is no number."""
    found = trainer.train(data, trial.output, seed=trial.seed, log=trial.log)
    if found.diverged:
        raise TrialError(f"diverged: {found.diverged.removeprefix('diverged: ')}")
    return replace(found, metrics={name: _number(name, value) for name, value in found.metrics.items()})


def evaluated(evaluator: Evaluator, model: Path, data: Path | None, trial: Trial) -> dict[str, float]:
    """The value of every metric that the evaluator names; `TrialError` where one is missing or no number."""
    found = evaluator.evaluate(model, data, trial.output, seed=trial.seed, log=trial.log)
    for name in evaluator.metrics:
        if name not in found:
            raise TrialError(f"no result: there is no {name}")
    return {name: _number(name, found[name]) for name in evaluator.metrics}


def _number(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise TrialError(f"diverged: {name} is {value}")
    return float(value)
