"""Runs a workflow job by job; killed at any moment, the same call goes on where it was."""

from __future__ import annotations

import fcntl
import json
import math
import shutil
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from sluice.errors import InterruptedRunError, RunError, SluiceError, UsageError
from sluice.sandbox.train.trials import forget_failed
from sluice.sandbox.workflow.blackboard import Blackboard, JobFolder
from sluice.sandbox.workflow.config import PHASES, Phase, Planned, Repeat, Workflow
from sluice.sandbox.workflow.job import Job
from sluice.sandbox.workflow.until import first_names, holds


@dataclass(frozen=True)
class Done:
    """What a run came to: jobs done now and found done, rounds, and the blackboard with all results."""

    output: Path
    ran: tuple[str, ...]
    found: tuple[str, ...]
    rounds: int
    results: Blackboard


def run_workflow(
    workflow: Workflow,
    output: Path,
    *,
    restart: bool = False,
    retry_failed: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Done:
    """Run the workflow in `output`, or continue what was interrupted there.

    A job that was begun with another configuration is refused with what changed, unless `restart`, which begins
    anew. `retry_failed` carries out again what gave no result, and the jobs that follow from it. Two runs in one
    folder: the second is refused. `RunError` where a job fails; the same call tries it again.
    """
    output = output.absolute()  # programs start in folders of their own
    output.mkdir(parents=True, exist_ok=True)
    with _locked(output):
        if restart:
            shutil.rmtree(output / "jobs", ignore_errors=True)
        _refuse_changed(workflow, output)
        if retry_failed:
            _forget_failed(output, say)
        return _Run(workflow, output, say).to_the_end()


class _Run:
    def __init__(self, workflow: Workflow, output: Path, say: Callable[[str], None]) -> None:
        self.workflow, self.output, self.say = workflow, output, say
        self.board = Blackboard(output)
        self.ran: list[str] = []
        self.found: list[str] = []
        self.number = 0

    def to_the_end(self) -> Done:
        repeat = self.workflow.repeat
        rounds = 1
        for phase in PHASES:
            if repeat is None or phase not in repeat.phases:
                self.phase(phase, 1)
            elif phase == repeat.phases[0]:
                rounds = self.rounds(repeat)
        return Done(self.output, tuple(self.ran), tuple(self.found), rounds, self.board)

    def rounds(self, repeat: Repeat) -> int:
        """Repeat some phases, taken together in their order; how many rounds there were."""
        for number in range(1, repeat.max + 1):
            for phase in repeat.phases:
                self.phase(phase, number)
            if repeat.until and number < repeat.max and self.enough(repeat.until):
                self.say(f"round {number}: {repeat.until}")
                return number
        return repeat.max

    def enough(self, until: str) -> bool:
        return holds(until, {name: self.board[name] for name in first_names(until)})

    def phase(self, phase: Phase, round_number: int) -> None:
        for job in self.workflow.of(phase):
            self.number += 1
            folder = self.board.folder(round_number, phase, job.name)
            if folder.done is None:
                self.run(job, folder, round_number)
                self.ran.append(job.name)
            else:
                self.found.append(job.name)
            self.board.add(folder)

    def run(self, job: Planned, folder: JobFolder, round_number: int) -> None:
        label = f"{job.phase}: {job.name}" + (f" (round {round_number})" if round_number > 1 else "")
        self.say(label)
        folder.begin({"number": self.number, "round": round_number, **described(job)}, keep=job.hook.resumes)
        taken = {parameter: self.board[name] for parameter, name in job.takes.items() if name in self.board}
        given = Job(job.name, folder.files, round_number, lambda text: self.say(f"{label}: {text}"))
        started = perf_counter()
        with _told(job, folder):
            results = job.hook.target(given, **taken, **job.settings)
            folder.finish(_renamed(job, results), perf_counter() - started)


def _forget_failed(output: Path, say: Callable[[str], None]) -> None:
    """Forget runs without a result, and that their job and all later ones have finished.

    Of later rounds nothing stays: their arms may be other samples now under the same names.
    """
    forgotten, first = 0, math.inf
    for folder in Blackboard(output).folders():
        number = (folder.begun or {})["round"]
        if number > first:
            shutil.rmtree(folder.path)
            continue
        forgotten += forget_failed(folder.files)
        if forgotten:
            first = min(first, number)
            folder.forget()
    say(f"{forgotten} runs without a result are tried again")


def described(job: Planned) -> dict[str, Any]:
    """A job as its folder remembers it, and as changes are found by."""
    return {
        "name": job.name,
        "phase": job.phase,
        "hook": job.hook.name,
        "settings": json.loads(json.dumps(job.given, default=str)),
        "takes": dict(job.takes),
        "gives": dict(job.gives),
    }


def _renamed(job: Planned, results: object) -> dict[str, Any]:
    if not isinstance(results, Mapping) or set(results) != set(job.gives):
        told = sorted(results) if isinstance(results, Mapping) else type(results).__name__
        raise RunError(f"the hook {job.hook.name!r} must give {sorted(job.gives)}, and gave {told}")
    return {job.gives[name]: value for name, value in results.items()}


@contextmanager
def _told(job: Planned, folder: JobFolder) -> Iterator[None]:
    """Errors of a job say which job; what nobody expected is written whole to its `error.txt`."""
    again = "mend the cause and give the same command again: finished jobs are not done twice"
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"interrupted in the job {job.name!r}", fix="the same command continues"
        ) from None
    except SluiceError as error:
        error.where = f"{job.where}: job {job.name!r}" + (f": {error.where}" if error.where else "")
        error.args = (error.what, error.where, error.fix)
        raise
    except Exception as error:
        (folder.path / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        what = f"the job {job.name!r} failed: {type(error).__name__}: {error}"
        raise RunError(
            what, where=job.where, fix=f"{again}; all of it: {folder.path / 'error.txt'}"
        ) from error


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Keep a second run out of the folder; the system lets go of the lock when this process ends, however."""
    with (output / "running.lock").open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "another run is at work here", where=str(output), fix="wait for it, or give another --output"
            ) from None
        yield


def _refuse_changed(workflow: Workflow, output: Path) -> None:
    now = {(job.phase, job.name): described(job) for job in workflow.jobs}
    changes: list[str] = []
    for folder in Blackboard(output).folders():
        before = {k: v for k, v in (folder.begun or {}).items() if k not in ("number", "round")}
        after = now.get((before["phase"], before["name"]))
        if after is None:
            changes.append(f"the job {before['name']!r} of `{before['phase']}` is gone")
        elif after != before:
            changes += list(_differences(before, after, before["name"]))
    if changes:
        raise UsageError(
            "the workflow changed since this was begun:\n  " + "\n  ".join(dict.fromkeys(changes)),
            where=str(output),
            fix="undo the change, give another --output, or begin anew with --restart",
        )


def _differences(before: Any, after: Any, path: str) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(k for k in after if k not in before)]:
            yield from _differences(before.get(key), after.get(key), f"{path}.{key}")
    elif before != after:
        yield f"{path}: {json.dumps(before)} → {json.dumps(after)}"
