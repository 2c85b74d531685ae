"""Which arms are better than the control, by how much, and are we sure?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field

from sluice.errors import MissingError, UsageError
from sluice.recipe.nearest import did_you_mean
from sluice.sandbox.experiment import Score, score_table, scores_of
from sluice.sandbox.pools import CONTROL
from sluice.sandbox.registry import Outlook, hook
from sluice.sandbox.statistics import (
    Comparison,
    Composites,
    change_scores,
    detectable_effect,
    noise_floor,
    order,
    seeds_needed,
)
from sluice.sandbox.statistics import (
    compare as compared,
)
from sluice.sandbox.statistics.correction import Correction
from sluice.sandbox.statistics.significance import Interval, Test
from sluice.sandbox.train.protocol import Better
from sluice.sandbox.workflow.job import Job

CHANGE = "change"
"""Name of the relative change over several metrics (equation 3 of the Data-Juicer Sandbox), as one more metric."""

Alpha = Annotated[float, Field(gt=0, lt=1)]


def _outlook(job: Job, taken: Mapping[str, Any], settings: Mapping[str, Any]) -> Outlook:
    """What so many seeds could find, in standard deviations of the paired differences."""
    scores = scores_of(taken["scores"]) if "scores" in taken else []
    control = settings["control"]
    arms = {s.arm for s in scores if s.arm != control and not _again(s.arm, control)}
    seeds, metrics = {s.seed for s in scores}, settings["metrics"] or _names(settings, scores)
    family = len(arms) * len(metrics)
    if not family:
        return Outlook()
    alpha = settings["alpha"] / family
    told = f"{len(seeds)} seeds, {len(arms)} arms, {len(metrics)} metric{'s' * (len(metrics) != 1)}"
    try:
        effect = detectable_effect(len(seeds), 1.0, alpha)
        found = f"a true difference of {effect:.2g} SD" if effect else "nothing: two seeds are the least"
        half = seeds_needed(0.5, 1.0, alpha)
    except MissingError as error:
        return Outlook(notes=(f"{told}: how much they could find is not told: {error.what} ({error.fix})",))
    note = f"{told}: at {settings['alpha']:g} / {family} a paired t-test finds, with 80 % power, {found}"
    return Outlook(notes=(f"{note}; for one of 0.5 SD it needs {half} seeds",))


@hook(gives=("comparison", "verdict", "noise", "scores"), outlook=_outlook)
def compare(
    job: Job,
    scores: pa.Table,
    better: Mapping[str, Better] | None = None,
    *,
    control: str = CONTROL,
    metrics: tuple[str, ...] = (),
    composites: tuple[str, ...] = (),
    change: tuple[str, ...] = (),
    ways: dict[str, Better] | None = None,
    alpha: Alpha = 0.05,
    correction: Correction = "holm",
    test: Test = "t",
    intervals: Interval = "t",
    seed: int = 0,
) -> dict[str, Any]:
    """Compare every arm with the control, paired by seed and corrected for all comparisons together.

    `metrics` are those that are tested, the first of them the main one; of the others no verdict is given. Left out,
    they are all composites, or where there are none all metrics. `composites` (`vbench`, or a YAML file) are computed
    first, as is the relative change over the metrics in `change`, called `change`. `ways` says which way a metric is
    better where no evaluator did. A second control (`control-2`) is no arm: its difference from the first is the noise
    floor. Gives a row for each arm and metric (`comparison`), the noise floor of each metric, the scores with those
    that were computed, and the `verdict`: the arm that is better by most in the main metric, with `gain`, `low` and
    `high`; a gain of 0 where nothing can be told apart.
    """
    found, known = _computed(
        scores_of(scores), {**(better or {}), **(ways or {})}, composites, change, control
    )
    tested = _tested(metrics or _made(composites, change) or tuple(known), known)
    arms = [score for score in found if not _again(score.arm, control)]
    comparisons = compared(
        arms,
        control=control,
        better={name: known[name] for name in tested},
        alpha=alpha,
        correction=correction,
        test=test,
        intervals=intervals,
        seed=seed,
    )
    again = next((s.arm for s in found if _again(s.arm, control)), "")
    each = alpha / max(1, len(comparisons))
    noise = noise_floor(found, list(known), control=control, again=again, alpha=each)
    verdict = _verdict(comparisons, tested[0])
    for line in _told(comparisons, tested, verdict):
        job.say(line)
    return {
        "comparison": [comparison.row() for comparison in comparisons],
        "verdict": verdict,
        "noise": [asdict(floor) for floor in noise],
        "scores": score_table(found),
    }


def _again(arm: str, control: str) -> bool:
    """Whether it is another draw of the control."""
    return arm.startswith(f"{control}-") and arm.removeprefix(f"{control}-").isdigit()


def _made(composites: Sequence[str], change: Sequence[str]) -> list[str]:
    return [*(n for name in composites for n in Composites.read(name).better), *([CHANGE] if change else ())]


def _names(settings: Mapping[str, Any], scores: Sequence[Score]) -> list[str]:
    return _made(settings["composites"], settings["change"]) or list(dict.fromkeys(s.metric for s in scores))


def _computed(
    scores: list[Score],
    better: dict[str, Better],
    composites: Sequence[str],
    change: Sequence[str],
    control: str,
) -> tuple[list[Score], dict[str, Better]]:
    """The scores with the composites and the relative change, and which way each metric is better."""
    found, known = list(scores), dict(better)
    for name in composites:
        made = Composites.read(name)
        found += made.scores(found)
        known |= made.better
    if change:
        found += change_scores(found, change, control=control, name=CHANGE)
        known[CHANGE] = "higher"
    return found, known


def _tested(metrics: Sequence[str], known: Mapping[str, Better]) -> Sequence[str]:
    for name in metrics:
        if name not in known:
            fix = did_you_mean(name, known, "metrics") + "; or say in `ways` which way it is better"
            raise UsageError(f"{name!r} is no metric that is known to be better one way", fix=fix)
    return metrics


def _verdict(comparisons: Sequence[Comparison], metric: str) -> dict[str, Any]:
    ranked = order(comparisons, metric)
    told: dict[str, Any] = {"metric": metric, "arm": None, "gain": 0.0, "low": None, "high": None}
    if not ranked.better:
        some = ranked.not_distinguishable or ranked.worse
        return told | {"verdict": "not distinguishable" if some else "no verdict"}
    best = ranked.better[0]
    low, high = best.ends or (None, None)
    return told | {"arm": best.arm, "gain": best.gain, "verdict": "better", "low": low, "high": high}


def _told(comparisons: Sequence[Comparison], metrics: Sequence[str], verdict: Mapping[str, Any]) -> list[str]:
    """What is said when it is done: counts of verdicts, seeds that were left out, and the best arm."""
    lines = []
    for metric in metrics:
        of = [c for c in comparisons if c.metric == metric]
        counts = {v: sum(c.verdict == v for c in of) for v in dict.fromkeys(c.verdict for c in of)}
        lines.append(f"{metric}: " + ", ".join(f"{count} {v}" for v, count in counts.items()))
        lines += [f"{metric}: {c.arm}: seed {u.seed} left out: {u.reason}" for c in of for u in c.unpaired]
    if verdict["arm"]:
        lines.append(f"best in {verdict['metric']}: {verdict['arm']}, by {verdict['gain']:.4g}")
    return lines
