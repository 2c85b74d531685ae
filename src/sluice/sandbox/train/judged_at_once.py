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
from sluice.sandbox.train.trials import Trial, carry_out, resumes


@dataclass(frozen=True)
class JudgedAtOnce:
    """A trainer and an evaluator as one; `data` is the held-out set. No model and no export is kept."""

    trainer: Trainer
    evaluator: Evaluator
    data: Path | None

    def __call__(self, pool: Pool, folder: Path, seeds: Sequence[int]) -> list[dict[str, Any]]:
        """A record for each seed, with `metrics` or the `reason` why there are none; none is done twice."""
        place = folder / pool.name / "data"
        try:
            return carry_out(
                self.trials(pool, folder, seeds),
                lambda trial: self._one(trial, pool, place),
                resumes=resumes(self.trainer),
            )
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def trials(self, pool: Pool, folder: Path, seeds: Sequence[int]) -> list[Trial]:
        """The trials of a pool, in the places where their records are."""
        return [Trial.of(folder, pool.name, seed, pool.digest) for seed in seeds]

    def _one(self, trial: Trial, pool: Pool, place: Path) -> Mapping[str, Any]:
        data = export(pool, place, self.trainer.data_format).folder  # once for all seeds
        model = trained(self.trainer, data, trial).model
        try:
            return {"metrics": evaluated(self.evaluator, model, self.data, trial)}
        finally:
            shutil.rmtree(trial.output, ignore_errors=True)
