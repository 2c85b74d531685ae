"""Searches settings (thresholds, mixture weights) for what makes a model better, by Optuna; resumable, budgeted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from sluice.errors import TrialError, UsageError
from sluice.operator.extra import imported

if TYPE_CHECKING:
    import optuna

    from sluice.sandbox.train.protocol import Better

STUDY = "search"
"""Name of the study in its file: `optuna-dashboard sqlite:///study.sqlite` shows it."""

_REASON, _AGAIN, _ABOUT = "reason", "again", "about"


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting that is searched: from `low` to `high`, both included; whole numbers only, or on a log scale."""

    low: float
    high: float
    whole: bool = False
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> float:
        """A value for this trial."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial: what was tried, and what it came to; `value` is None where it failed, `reason` says why."""

    values: Mapping[str, float]
    value: float | None
    reason: str = ""


@dataclass(frozen=True)
class Found:
    """All trials in their order, and the best of them (None where every one failed)."""

    tried: tuple[Tried, ...]
    best: Tried | None


Objective = Callable[[Mapping[str, float]], float]
"""What is to be made better; raises `TrialError` where this choice gives no result."""


def search(
    objective: Objective,
    knobs: Mapping[str, Knob],
    *,
    file: Path,
    about: str = "",
    stands: Callable[[Mapping[str, float]], bool] = lambda values: True,
    better: Better,
    trials: int,
    budget_s: float | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> Found:
    """Try `trials` choices, each by what those before it came to (tree-structured Parzen estimator, Bergstra 2011).

    The study is kept in `file` (SQLite): the same call continues it, a trial that was under way is tried again with
    the same values, and the trials come out as if nothing had happened. No trial begins after `budget_s` seconds of
    this call. A trial that fails is kept with its reason and tells the search nothing; it is tried again with the same
    values where its failure no longer `stands`. `about` names what is searched over: a study about something else is
    begun anew.
    """
    optuna = _optuna()
    if not knobs:
        raise UsageError(
            "there is nothing to search", fix="give a threshold or a mixture weight with its range"
        )
    direction = "maximize" if better == "higher" else "minimize"
    study = _study(f"sqlite:///{file}", direction, about)
    _take_up(study, stands)
    until = None if budget_s is None else monotonic() + budget_s
    while (number := len(_ended(study))) < trials:
        if until is not None and monotonic() >= until:
            say(f"the budget of {budget_s:g} s is spent after {number} trials")
            break
        # A sampler of its own for each trial: what it draws does not depend on when the study was taken up again.
        study.sampler = optuna.samplers.TPESampler(seed=seed + number)
        trial = study.ask()
        values = {name: knob.suggest(trial, name) for name, knob in knobs.items()}
        _try(study, trial, objective, values)
        say(f"trial {number + 1} of {trials}: {_told(_ended(study)[-1])}")
    return _found(study, better)


def _try(study: Any, trial: Any, objective: Objective, values: Mapping[str, float]) -> None:
    import optuna

    try:
        value = objective(values)
    except TrialError as error:
        trial.set_user_attr(_REASON, error.reason)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return
    study.tell(trial, value)


def _study(storage: str, direction: str, about: str) -> Any:
    import optuna

    how: dict[str, Any] = {"storage": storage, "study_name": STUDY, "direction": direction}
    study = optuna.create_study(**how, load_if_exists=True)
    if study.user_attrs.get(_ABOUT, about) != about:
        optuna.delete_study(study_name=STUDY, storage=storage)
        study = optuna.create_study(**how)
    study.set_user_attr(_ABOUT, about)
    return study


def _take_up(study: Any, stands: Callable[[Mapping[str, float]], bool]) -> None:
    """Trials that were under way when a run was killed, or whose failure stands no longer, come before all others."""
    import optuna

    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        _again(study, trial)
    for trial in _ended(study):
        if trial.state == optuna.trial.TrialState.FAIL and not stands(trial.params):
            _again(study, trial)


def _again(study: Any, trial: Any) -> None:
    """Put a trial's values first in the queue; those it was given, where it was killed before it came to all."""
    values = trial.system_attrs.get("fixed_params", trial.params)
    study.enqueue_trial(values, user_attrs={_AGAIN: trial.number})


def _ended(study: Any) -> list[Any]:
    """Trials with a value, or with a reason why there is none; not those that were killed, or are tried again."""
    import optuna

    done, failed = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL
    trials = study.get_trials(deepcopy=False)
    again = {trial.user_attrs.get(_AGAIN) for trial in trials}
    return [
        trial
        for trial in trials
        if trial.state == done
        or (trial.state == failed and _REASON in trial.user_attrs and trial.number not in again)
    ]


def _found(study: Any, better: Better) -> Found:
    tried = tuple(_tried(trial) for trial in _ended(study))
    sign = 1 if better == "higher" else -1
    having = [each for each in tried if each.value is not None]
    return Found(tried, max(having, key=lambda each: sign * (each.value or 0.0), default=None))


def _tried(trial: Any) -> Tried:
    reason = trial.user_attrs.get(_REASON, "")
    return Tried(dict(trial.params), None if reason else trial.value, reason)


def _told(trial: Any) -> str:
    tried = _tried(trial)
    return tried.reason if tried.value is None else f"{tried.value:g}"


def _optuna() -> Any:
    optuna = imported("optuna", "sandbox")
    # Each trial is told by `say`; Optuna's own lines would come twice.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
