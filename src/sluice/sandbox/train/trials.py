"""The runs of an experiment, one for each arm and seed: each done once, whatever ends the process in between."""

from __future__ import annotations

import json
import shutil
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa
import xxhash

from sluice.errors import SluiceError, TrialError, UnavailableError
from sluice.sandbox.registry import Outlook
from sluice.sandbox.train.program import ending
from sluice.storage import Location

_GIVEN = "given"


@dataclass(frozen=True)
class Trial:
    """One arm with one seed, and its folder: `output/` for what it makes, `log.txt`, and `done.json` at its end.

    `given` is a digest of what the trial is made of besides its job's settings, which cannot change: its pool, its
    model. What an earlier trial of this name made of something else is no part of this one. None: there is nothing
    else, or it is not known, and whatever lies there is this trial's.
    """

    arm: str
    seed: int
    folder: Path
    given: str | None = None

    @classmethod
    def of(cls, folder: Path, arm: str, seed: int, given: str | None = None) -> Trial:
        """The trial in its place below a job's folder."""
        return cls(arm, seed, folder / arm / f"seed-{seed}", given)

    @classmethod
    def all_of(cls, folder: Path, models: pa.Table, answers: pa.Table | None = None) -> list[Trial]:
        """A trial for every row of a table of models, in its order; of that model, and of its answers."""
        rows = answers.to_pylist() if answers is not None else []
        given = {(row["arm"], row["seed"]): row for row in rows}
        return [
            cls.of(folder, row["arm"], row["seed"], _digest([row, given.get((row["arm"], row["seed"]))]))
            for row in models.to_pylist()
        ]

    @property
    def output(self) -> Path:
        """Where it may write; empty when it begins."""
        return self.folder / "output"

    @property
    def log(self) -> Path:
        """Its log."""
        return self.folder / "log.txt"

    def record(self) -> dict[str, Any] | None:
        """What came of it; None where it has not ended."""
        found = self._noted("done.json")
        return found and {name: value for name, value in found.items() if name != _GIVEN}

    def begin(self, *, keep: bool) -> None:
        """An empty folder; what a killed try of the same trial left is no part of this one, unless `keep`."""
        if not keep or self._noted("begun.json") is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.output.mkdir(parents=True, exist_ok=True)
        self._note("begun.json", {})

    def end(self, record: Mapping[str, Any]) -> None:
        """Note what came of it, last of all."""
        self._note("done.json", record)

    def _note(self, name: str, record: Mapping[str, Any]) -> None:
        text = json.dumps({_GIVEN: self.given, **record}, indent=1, allow_nan=False, ensure_ascii=False)
        Location(self.folder / name).write(text.encode())

    def _noted(self, name: str) -> dict[str, Any] | None:
        """What was noted of this very trial."""
        try:
            found: dict[str, Any] = json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            return None
        return found if self.given in (None, found.get(_GIVEN)) else None


def _digest(about: Any) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(about, sort_keys=True).encode())


def forget_failed(folder: Path) -> int:
    """Forget the trials below a folder that gave no result, so that they are carried out again; how many they were."""
    failed = [
        record
        for record in folder.glob("runs/*/seed-*/done.json")
        if json.loads(record.read_bytes()).get("reason")
    ]
    for record in failed:
        record.unlink()
    return len(failed)


Work = Callable[[Trial], Mapping[str, Any]]
"""Does one trial and tells what came of it, as JSON data; raises where there is no result."""


def resumes(component: Any) -> bool:
    """Whether a component says that it goes on from what a killed try of the same run left in its folder."""
    return bool(getattr(component, "resumes", False))


def carry_out(
    trials: Sequence[Trial],
    work: Work,
    *,
    at_once: int = 1,
    resumes: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """The records of all trials, in order: of those that ended before as they were, of the others now.

    A record has the `reason` why there is no result (empty where there is one) and the `seconds` that it took. What
    a trial raises fails that trial alone, unless it is the user's to mend for all of them (a wrong setting, a missing
    library): that ends the job. `at_once` trials are at work at a time. `resumes`: a killed trial finds what it left.
    """
    records = {trial: record for trial in trials if (record := trial.record()) is not None}
    left = [trial for trial in trials if trial not in records]
    if records and left:
        say(f"{len(records)} of {len(trials)} were done before")
    for trial, record in _ended(left, partial(_carried_out, work=work, keep=resumes), at_once):
        records[trial] = record
        told = record["reason"] or f"{record['seconds']:.1f} s"
        say(f"{len(records)} of {len(trials)}: {trial.arm}, seed {trial.seed}: {told}")
    return [records[trial] for trial in trials]


def foreseen(trials: Sequence[Trial], component: Any, at_once: int, results: Mapping[str, Any]) -> Outlook:
    """What it would take to carry the trials out, by those that ended and by what the component expects."""
    records = [record for trial in trials if (record := trial.record()) is not None]
    took = [record["seconds"] for record in records if not record["reason"]]
    expects = expected(component, len(trials))
    seconds = sum(took) / len(took) if took else expects.seconds
    return replace(expects, ended=len(records), at_once=at_once, seconds=seconds, results=results)


def expected(component: Any, runs: int) -> Outlook:
    """What so many runs take by what the component expects alone."""
    hours = getattr(component, "hours", None)
    return Outlook(
        runs=runs,
        seconds=hours and hours * 3600,
        gpus=getattr(component, "gpus", 0),
        price_per_hour=getattr(component, "price_per_hour", None),
    )


def _ended(
    trials: Sequence[Trial], carried_out: Callable[[Trial], dict[str, Any]], at_once: int
) -> Iterator[tuple[Trial, dict[str, Any]]]:
    if at_once == 1:
        for trial in trials:
            yield trial, carried_out(trial)
        return
    with ThreadPoolExecutor(at_once) as threads:
        futures = {threads.submit(carried_out, trial): trial for trial in trials}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            # The others would be waited for, for hours maybe: their programs are ended.
            for future in futures:
                future.cancel()
            with ending():
                threads.shutdown()
            raise


def _carried_out(trial: Trial, *, work: Work, keep: bool) -> dict[str, Any]:
    trial.begin(keep=keep)
    started = perf_counter()
    found: Mapping[str, Any] = {}
    reason = ""
    try:
        # What cannot be kept as JSON fails this trial, like all else that goes wrong in it.
        found = json.loads(json.dumps(dict(work(trial)), allow_nan=False))
    except Exception as error:
        # Anything that a trainer raises is that run's end, with its trace in the log.
        told = reason_of(error)
        if told is None:
            raise
        reason = told
        _append(trial.log, f"# {error}" if isinstance(error, SluiceError) else traceback.format_exc())
    record = {"reason": reason, "seconds": round(perf_counter() - started, 3), **found}
    trial.end(record)
    return record


def reason_of(error: Exception) -> str | None:
    """Why an error left a run without a result; None where it is the user's to mend for all runs alike."""
    if isinstance(error, TrialError):
        return error.reason
    if isinstance(error, SluiceError):
        wrong_for_all = error.exit_code != 1 or isinstance(error, UnavailableError)
        return None if wrong_for_all else f"crashed: {error.what}"
    return f"crashed: {type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _append(log: Path, text: str) -> None:
    with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text.rstrip() + "\n")
