"""What becomes of a model that is trained on each arm's data?"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa

from sluice.errors import UsageError
from sluice.recipe.nearest import did_you_mean
from sluice.sandbox.chosen import TrainerSetting
from sluice.sandbox.experiment import MODELS, Score, score_table
from sluice.sandbox.export import export
from sluice.sandbox.hooks.pools import arms_of, read_pools
from sluice.sandbox.pools import CONTROL, Pool
from sluice.sandbox.registry import Outlook, hook
from sluice.sandbox.train.at_once import AtOnce, refuse_crowd
from sluice.sandbox.train.protocol import Trainer
from sluice.sandbox.train.results import trained
from sluice.sandbox.train.seeds import Seeds
from sluice.sandbox.train.trials import Trial, carry_out, foreseen, resumes
from sluice.sandbox.workflow.job import Job


def _outlook(job: Job, taken: Mapping[str, Any], settings: Mapping[str, Any]) -> Outlook:
    arms = chosen_arms(arms_of(taken.get("pools", ())), settings["arms"])
    trials = _trials(job, dict.fromkeys(arms), settings["seeds"])
    rows = [{"arm": trial.arm, "seed": trial.seed} for trial in trials]
    foreseen_models = pa.Table.from_pylist(rows, schema=MODELS)
    return foreseen(trials, settings["trainer"].make(), settings["at_once"], {"models": foreseen_models})


@hook(gives=("models", "training"), resumes=True, outlook=_outlook)
def train(
    job: Job,
    pools: Path,
    *,
    trainer: TrainerSetting,
    seeds: Seeds = (1, 2, 3),
    arms: tuple[str, ...] = ("*",),
    at_once: AtOnce = 1,
    keep_exports: bool = False,
) -> dict[str, Any]:
    """Train a model on every arm with every seed, the arms of one seed after each other.

    `arms` names pools, with `*` for any letters; the control is always among them. A run that crashes, hangs or
    diverges is a model that is not there, with the reason; the others go on. A killed job goes on at the first run
    that had not ended. `models` tells where the models are and what they cost, `training` holds the trainer's own
    metrics. What was exported for the trainer goes at the end, unless `keep_exports`.
    """
    made: Trainer = trainer.make()
    refuse_crowd(made, trainer.name, at_once)
    known = read_pools(pools)
    chosen = {arm: known[arm] for arm in chosen_arms(known, arms)}
    exports = _Exports(job.folder / "exports", chosen, made)

    def one(trial: Trial) -> Mapping[str, Any]:
        data, samples = exports.of(trial.arm)
        return {"samples": samples, **_trained(made, trial, data, job)}

    trials = _trials(job, {arm: pool.digest for arm, pool in chosen.items()}, seeds)
    records = carry_out(trials, one, at_once=at_once, resumes=resumes(made), say=job.say)
    if not keep_exports:
        exports.remove()
    found = sorted(zip(trials, records, strict=True), key=lambda each: list(chosen).index(each[0].arm))
    return {
        "models": pa.Table.from_pylist([_row(t, r) for t, r in found], schema=MODELS),
        "training": score_table(_training(found)),
    }


def chosen_arms(names: Iterable[str], patterns: tuple[str, ...]) -> list[str]:
    """The arms whose names match a pattern, and the control; `UsageError` for a pattern that matches none."""
    known = list(names)
    for pattern in patterns:
        if known and not any(fnmatchcase(name, pattern) for name in known):
            raise UsageError(f"no pool is called {pattern!r}", fix=did_you_mean(pattern, known, "pools"))
    return [n for n in known if n == CONTROL or any(fnmatchcase(n, pattern) for pattern in patterns)]


def _trials(job: Job, arms: Mapping[str, str | None], seeds: Iterable[int]) -> list[Trial]:
    """All arms with the first seed, then with the next: what there is early can be paired. Arms with their digests."""
    return [Trial.of(job.folder / "runs", arm, seed, of) for seed in seeds for arm, of in arms.items()]


class _Exports:
    """The arms' data as the trainer reads it, written once for all seeds when the first of them needs it."""

    def __init__(self, folder: Path, pools: Mapping[str, Pool], trainer: Trainer) -> None:
        self._folder, self._pools, self._format = folder, pools, trainer.data_format
        self._locks = {arm: Lock() for arm in pools}

    def of(self, arm: str) -> tuple[Path, int]:
        """The folder of an arm's data and how many samples it has; `TrialError` where it has none."""
        with self._locks[arm]:
            made = export(self._pools[arm], self._folder / arm, self._format)
        return made.folder, made.samples

    def remove(self) -> None:
        """Give the room back."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _trained(trainer: Trainer, trial: Trial, data: Path, job: Job) -> Mapping[str, Any]:
    found = trained(trainer, data, trial)
    hours = found.seconds / 3600
    price = getattr(trainer, "price_per_hour", None)
    return {
        "model": job.inside(found.model),
        "metrics": dict(found.metrics),
        "seconds": found.seconds,
        "cost": None if price is None else price * hours,
        "gpu_hours": hours * getattr(trainer, "gpus", 0),
        "samples_seen": found.samples_seen,
        "peak_memory_bytes": found.peak_memory_bytes,
        "cpu_s": found.cpu_s,
    }


def _row(trial: Trial, record: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: record.get(name) for name in MODELS.names}
    return {**told, "arm": trial.arm, "seed": trial.seed, "reason": record["reason"] or None}


def _training(found: list[tuple[Trial, dict[str, Any]]]) -> Iterator[Score]:
    """The trainer's metrics; a run without a model has none, and says why of each."""
    names = list(dict.fromkeys(name for _, record in found for name in record.get("metrics", ())))
    for trial, record in found:
        metrics = record.get("metrics", {})
        for name in names:
            reason = record["reason"] if name in metrics or record["reason"] else "no result: not told"
            yield Score(trial.arm, trial.seed, name, metrics.get(name), reason)
