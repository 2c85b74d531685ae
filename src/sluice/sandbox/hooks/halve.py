"""Which arms are worth all their seeds?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from sluice.errors import UsageError
from sluice.recipe.nearest import did_you_mean
from sluice.sandbox.chosen import EvaluatorSetting, TrainerSetting
from sluice.sandbox.experiment import Score, score_table
from sluice.sandbox.hooks.evaluate_model import told
from sluice.sandbox.hooks.pools import arms_of, read_pools
from sluice.sandbox.hooks.train import chosen_arms
from sluice.sandbox.pools import CONTROL, Pool
from sluice.sandbox.registry import Outlook, hook
from sluice.sandbox.statistics import halving, rungs
from sluice.sandbox.statistics.correction import Correction
from sluice.sandbox.statistics.significance import Test
from sluice.sandbox.train.judged_at_once import JudgedAtOnce
from sluice.sandbox.train.protocol import Evaluator
from sluice.sandbox.train.seeds import Seeds
from sluice.sandbox.train.trials import expected
from sluice.sandbox.workflow.job import Job


def _outlook(job: Job, taken: Mapping[str, Any], settings: Mapping[str, Any]) -> Outlook:
    arms = [arm for arm in chosen_arms(arms_of(taken.get("pools", ())), settings["arms"]) if arm != CONTROL]
    seeds = len(settings["seeds"])
    runs, before = seeds, 0
    for rung in (
        rungs(len(arms), seeds, first=min(settings["first"], seeds), keep=settings["keep"]) if arms else ()
    ):
        runs, before = runs + rung.arms * (rung.seeds - before), rung.seeds
    return expected(settings["trainer"].make(), runs)


@hook(gives=("scores", "better", "comparison", "halved"), resumes=True, outlook=_outlook)
def halve(
    job: Job,
    pools: Path,
    *,
    trainer: TrainerSetting,
    evaluator: EvaluatorSetting,
    metric: str,
    seeds: Seeds = (1, 2, 3, 4, 5, 6, 7, 8),
    arms: tuple[str, ...] = ("*",),
    data: Path | None = None,
    first: Annotated[int, Field(ge=1)] = 2,
    keep: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05,
    correction: Correction = "holm",
    test: Test = "t",
) -> dict[str, Any]:
    """Train and judge arms by successive halving: all of them with few seeds, the best with all (Jamieson 2016).

    All arms get `first` seeds; the share `keep` of them that is ahead of the control in `metric` gets twice as many,
    and so on up to all `seeds`. The control gets all. Verdicts come from a test of all seeds, corrected for all arms
    that began: stopping early costs chances, never honesty. No model is kept. `halved` says which arms were stopped
    and how many runs that saved; `scores` holds all metrics of all runs, `comparison` the verdicts in this one.
    """
    judge: Evaluator = evaluator.make()
    if metric not in judge.metrics:
        fix = did_you_mean(metric, judge.metrics, "it tells")
        raise UsageError(f"{evaluator.name} tells no metric {metric!r}", fix=fix)
    drawn = read_pools(pools)
    known = {arm: drawn[arm] for arm in chosen_arms(drawn, arms)}
    judged = JudgedAtOnce(trainer.make(), judge, data and data.absolute())
    runs = _Runs(job, judged, known)
    found = halving(
        runs,
        list(known),
        seeds,
        metric=metric,
        better=judge.metrics[metric],
        first=min(first, len(seeds)),
        keep=keep,
        alpha=alpha,
        correction=correction,
        test=test,
    )
    job.say(f"{found.runs} runs, {found.saved} saved; stopped early: {', '.join(found.stopped) or 'none'}")
    return {
        "scores": score_table(runs.scores),
        "better": dict(judge.metrics),
        "comparison": [each.row() for each in found.comparisons],
        "halved": {"stopped": list(found.stopped), "runs": found.runs, "saved": found.saved},
    }


@dataclass
class _Runs:
    """Runs arms with seeds, as halving asks for them."""

    job: Job
    judged: JudgedAtOnce
    pools: dict[str, Pool]
    scores: list[Score] = field(default_factory=list)

    def __call__(self, arms: Sequence[str], seeds: Sequence[int]) -> list[Score]:
        fresh = [score for arm in arms for score in self._of(arm, seeds)]
        self.job.say(f"{len(arms)} arms, seeds {', '.join(map(str, seeds))}")
        self.scores += fresh
        return fresh

    def _of(self, arm: str, seeds: Sequence[int]) -> Iterator[Score]:
        runs, pool = self.job.folder / "runs", self.pools[arm]
        records = self.judged(pool, runs, seeds)
        return told(self.judged.trials(pool, runs, seeds), records, self.judged.evaluator)
