"""Trains on a pool and judges the model at once, where models are only means: searches, and halving."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sluice.sandbox.export import export
from sluice.sandbox.pools import Pool
from sluice.sandbox.train.protocol import Evaluator, Trainer
from sluice.sandbox.train.results import evaluated, trained
from sluice.sandbox.train.trials import Trial, carry_out


@dataclass(frozen=True)
class JudgedAtOnce:
    """A trainer and an evaluator as one; `data` is the held-out set. No model and no export is kept."""

    trainer: Trainer
    evaluator: Evaluator
    data: Path | None

    def __call__(self, pool: Pool, folder: Path, seeds: Sequence[int]) -> list[dict[str, Any]]:
        """A record for each seed, with `metrics` or the `reason` why there are none; none is done twice.

        `TrialError` where there is nothing to train on.
        """
        trials = [Trial.of(folder, pool.name, seed) for seed in seeds]
        if all(trial.record() is not None for trial in trials):
            return [trial.record() or {} for trial in trials]
        made = export(pool, folder / "data", self.trainer.data_format)
        records = carry_out(trials, lambda trial: self._one(trial, made.folder))
        shutil.rmtree(folder / "data", ignore_errors=True)
        return records

    def _one(self, trial: Trial, data: Path) -> Mapping[str, Any]:
        model = trained(self.trainer, data, trial).model
        metrics = evaluated(self.evaluator, model, self.data, trial)
        shutil.rmtree(trial.output, ignore_errors=True)
        return {"metrics": metrics}
