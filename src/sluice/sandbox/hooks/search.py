"""Which thresholds, and which mixture of pools, make the best model?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import xxhash
from pydantic import Field

from sluice.errors import TrialError, UsageError
from sluice.recipe.nearest import did_you_mean
from sluice.recipe.steps import Part
from sluice.sandbox.chosen import EvaluatorSetting, TrainerSetting
from sluice.sandbox.hooks.pools import read_pools
from sluice.sandbox.hooks.process import run_of
from sluice.sandbox.pools import Pool, draw_keys, drawn
from sluice.sandbox.pools import mixture as mixed
from sluice.sandbox.pools.measures import Measures, measures_of_run
from sluice.sandbox.refine.search import Found, Knob
from sluice.sandbox.refine.search import search as search_knobs
from sluice.sandbox.registry import Outlook, hook
from sluice.sandbox.train.judged_at_once import JudgedAtOnce
from sluice.sandbox.train.protocol import Evaluator
from sluice.sandbox.train.seeds import Seeds
from sluice.sandbox.train.trials import expected
from sluice.sandbox.workflow.job import Job

POOL = "searched"
"""Name of the pool that a trial draws."""

_LEAST_WEIGHT = 1e-3  # weights are drawn evenly over all mixtures by its logarithm, which has no zero


class Reach(Part):
    """Where one threshold is searched: the lowest and the highest value that it may have."""

    low: tuple[float, float] | None = None
    high: tuple[float, float] | None = None


def _outlook(job: Job, taken: Mapping[str, Any], settings: Mapping[str, Any]) -> Outlook:
    runs = settings["trials"] * len(settings["seeds"])
    return expected(settings["trainer"].make(), runs)


@hook(gives=("found", "trials", "pools"), resumes=True, outlook=_outlook)
def search(
    job: Job,
    processed: Mapping[str, Any] | None = None,
    pools: Path | None = None,
    *,
    trainer: TrainerSetting,
    evaluator: EvaluatorSetting,
    metric: str,
    thresholds: dict[str, Reach] = {},  # noqa: B006 - settings are frozen
    mixture: tuple[str, ...] = (),
    size: Annotated[int, Field(ge=1)],
    run: str | None = None,
    data: Path | None = None,
    seeds: Seeds = (1,),
    trials: Annotated[int, Field(ge=1)] = 20,
    budget_s: Annotated[float, Field(gt=0)] | None = None,
    seed: int = 42,
) -> dict[str, Any]:
    """Search thresholds of measures, or weights of a mixture of pools, for the best `metric` of the model.

    Each of `trials` draws `size` samples, trains on them with every seed and judges the models on `data`; the next
    is chosen by what all before came to (Optuna's tree-structured Parzen estimator). `thresholds` says for each
    measure of a run where its `low` and `high` threshold may lie; `mixture` names the pools whose weights are
    searched. A choice that leaves fewer than `size` samples, or a run without a result, fails that trial with its
    reason. A killed search goes on, and `--retry-failed` tries runs without a result again; no trial begins after
    `budget_s` seconds. The study lies in `study.sqlite`.

    Gives what was `found` (its values, its metric; how it fared against others is for `compare` to say, with seeds of
    its own: the best of many trials looks better than it is), the `trials`, and the best pool among `pools`.
    """
    judge: Evaluator = evaluator.make()
    if metric not in judge.metrics:
        fix = did_you_mean(metric, judge.metrics, "it tells")
        raise UsageError(f"{evaluator.name} tells no metric {metric!r}", fix=fix)
    drawing: Drawing
    if thresholds and not mixture:
        drawing = _ByThresholds.of(processed, run, thresholds, size, seed)
    elif mixture and not thresholds and pools is not None:
        drawing = _ByWeights(_named(read_pools(pools), mixture), size, seed)
    else:
        raise UsageError(
            "a search is over thresholds, or over a mixture of pools",
            fix="give `thresholds` with a run, or `mixture` with the pools of a job before",
        )
    judged = JudgedAtOnce(trainer.make(), judge, data and data.absolute())
    attempt = _Attempt(job.folder / "runs", judged, metric, seeds, drawing)
    found = search_knobs(
        attempt,
        drawing.knobs,
        file=job.folder / "study.sqlite",
        about=drawing.digest,
        stands=attempt.stands,
        better=judge.metrics[metric],
        trials=trials,
        budget_s=budget_s,
        seed=seed,
        say=job.say,
    )
    return _given(job, found, metric, drawing)


@dataclass(frozen=True)
class _ByThresholds:
    """Draws from the samples whose measures lie within thresholds."""

    measures: Measures
    knobs: Mapping[str, Knob]
    size: int
    seed: int

    @classmethod
    def of(
        cls,
        processed: Mapping[str, Any] | None,
        run: str | None,
        thresholds: Mapping[str, Reach],
        size: int,
        seed: int,
    ) -> _ByThresholds:
        place = run_of(processed, run)
        if place is None:
            fix = "give `run: PATH`, or a job before with the hook `process`"
            raise UsageError("there is no run whose thresholds could be searched", fix=fix)
        knobs = {
            f"{name}.{side}": Knob(min(reach), max(reach))
            for name, ends in thresholds.items()
            for side, reach in (("low", ends.low), ("high", ends.high))
            if reach is not None
        }
        return cls(measures_of_run(place, thresholds), knobs, size, seed)

    @property
    def digest(self) -> str:
        """Tells apart what is drawn from: samples and their measures."""
        found = xxhash.xxh3_128(Pool("", self.measures.ids, {"run": self.measures.run}).digest.encode())
        for name in sorted(self.measures.values):
            found.update(name.encode() + self.measures.values[name].tobytes())
        return found.hexdigest()

    def told(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """The thresholds themselves."""
        return dict(values)

    def pool(self, values: Mapping[str, float]) -> Pool:
        """`size` of the samples within; `TrialError` where there are fewer."""
        within = np.ones(len(self.measures), np.bool_)
        for knob, value in values.items():
            name, _, side = knob.rpartition(".")
            column = self.measures.values[name]
            within &= column >= value if side == "low" else column <= value
        among = np.flatnonzero(within)
        if len(among) < self.size:
            raise TrialError(f"too few samples: {len(among)} of {self.size} lie within the thresholds")
        ids = self.measures.ids
        chosen = drawn(draw_keys(ids, self.seed), among, self.size)
        origin = {
            "kind": "thresholds",
            "thresholds": dict(values),
            "seed": self.seed,
            "run": self.measures.run,
        }
        return Pool(POOL, ids.take(pa.array(chosen)), origin)


@dataclass(frozen=True)
class _ByWeights:
    """Draws from pools by weights."""

    pools: Mapping[str, Pool]
    size: int
    seed: int

    @property
    def knobs(self) -> Mapping[str, Knob]:
        """One a pool. Minus logarithms of even numbers, divided by their sum, lie evenly over all mixtures."""
        return {name: Knob(_LEAST_WEIGHT, 1.0) for name in self.pools}

    @property
    def digest(self) -> str:
        """Tells apart what is drawn from."""
        pools = {name: pool.digest for name, pool in self.pools.items()}
        return xxhash.xxh3_128_hexdigest(repr(pools).encode())

    def told(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """The weights, which sum to one."""
        drawn_weights = {name: -float(np.log(min(value, 1 - 1e-9))) for name, value in values.items()}
        total = sum(drawn_weights.values())
        return {name: weight / total for name, weight in drawn_weights.items()}

    def pool(self, values: Mapping[str, float]) -> Pool:
        """The mixture."""
        found = mixed(POOL, self.pools, self.told(values), size=self.size, seed=self.seed)
        runs = {pool.origin.get("run") for pool in self.pools.values()}
        return replace(found, origin={**found.origin, "run": runs.pop() if len(runs) == 1 else None})


Drawing = _ByThresholds | _ByWeights


@dataclass(frozen=True)
class _Attempt:
    """Trains and judges one choice: the objective of the search."""

    folder: Path
    judged: JudgedAtOnce
    metric: str
    seeds: tuple[int, ...]
    drawing: Drawing

    def __call__(self, values: Mapping[str, float]) -> float:
        records = self.judged(self.pool(values), self.folder, self.seeds)
        for seed, record in zip(self.seeds, records, strict=True):
            if record["reason"]:
                raise TrialError(f"seed {seed}: {record['reason']}")
        return float(np.mean([record["metrics"][self.metric] for record in records]))

    def pool(self, values: Mapping[str, float]) -> Pool:
        """What a choice draws, under a name of its own: its runs lie side by side with those of others."""
        name = xxhash.xxh3_64_hexdigest(repr(sorted(values.items())).encode())
        return replace(self.drawing.pool(values), name=name)

    def stands(self, values: Mapping[str, float]) -> bool:
        """Whether a choice that failed would fail again without a run: none is missing that `--retry-failed` forgot."""
        try:
            trials = self.judged.trials(self.pool(values), self.folder, self.seeds)
        except TrialError:
            return True
        return all(trial.record() is not None for trial in trials)


def _named(pools: Mapping[str, Pool], names: tuple[str, ...]) -> dict[str, Pool]:
    for name in names:
        if name not in pools:
            raise UsageError(f"no pool is called {name!r}", fix=did_you_mean(name, pools, "pools"))
    return {name: pools[name] for name in names}


def _given(job: Job, found: Found, metric: str, drawing: Drawing) -> dict[str, Any]:
    rows = [
        {"trial": n, metric: t.value, "reason": t.reason or None, **drawing.told(t.values)}
        for n, t in enumerate(found.tried)
    ]
    folder = job.folder / "pools"
    folder.mkdir(exist_ok=True)
    best: dict[str, Any] | None = None
    if found.best is not None:
        drawing.pool(found.best.values).write(folder / f"{POOL}.parquet")
        best = {"values": dict(drawing.told(found.best.values)), metric: found.best.value}
    failed = sum(t.value is None for t in found.tried)
    summary = {"trials": len(found.tried), "failed": failed, "best": best}
    numbers = [pa.field(name, pa.float64()) for name in dict.fromkeys((metric, *drawing.knobs))]
    schema = pa.schema([pa.field("trial", pa.int64()), *numbers, pa.field("reason", pa.string())])
    return {"found": summary, "trials": pa.Table.from_pylist(rows, schema=schema), "pools": folder}
