"""What running a workflow would do: its jobs, what is done already, and what the rest would cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sluice.sandbox.registry import Outlook
from sluice.sandbox.workflow.blackboard import Blackboard
from sluice.sandbox.workflow.config import Planned, Workflow
from sluice.sandbox.workflow.job import Job


@dataclass(frozen=True)
class Ahead:
    """One job: how often it would be run at most (`rounds`), how often it was, and what one round does."""

    job: Planned
    rounds: int
    done: int
    outlook: Outlook

    @property
    def runs_left(self) -> int:
        """Runs that are still to be done, at most."""
        left = self.rounds - self.done
        return left * self.outlook.runs - (self.outlook.ended if left else 0)

    @property
    def seconds_left(self) -> float | None:
        """Wall-clock seconds that they take, as far as anyone knows."""
        each = self.outlook.seconds
        return 0.0 if not self.runs_left else each and self.runs_left * each / self.outlook.at_once

    @property
    def gpu_hours_left(self) -> float | None:
        """Hours of one GPU that they hold."""
        each = self.outlook.seconds
        if not self.runs_left or not self.outlook.gpus:
            return 0.0
        return each and self.runs_left * each / 3600 * self.outlook.gpus

    @property
    def cost_left(self) -> float | None:
        """What they cost; None where there is no price or nobody knows how long a run takes."""
        each, price = self.outlook.seconds, self.outlook.price_per_hour
        return None if price is None or each is None else self.runs_left * each / 3600 * price


def look_ahead(workflow: Workflow, output: Path) -> list[Ahead]:
    """The workflow's jobs in order, each with what it would do in `output`. Nothing is run or written."""
    board = Blackboard(output)
    known: dict[str, Any] = {}
    found = []
    for job in workflow.jobs:
        rounds = _rounds(workflow, job)
        folders = [board.folder(number, job.phase, job.name) for number in range(1, rounds + 1)]
        done = [folder for folder in folders if folder.done is not None]
        here = folders[min(len(done), rounds - 1)]
        taken = {name: known[result] for name, result in job.takes.items() if result in known}
        foresee = job.hook.outlook
        outlook = foresee(Job(job.name, here.files), taken, job.settings) if foresee else Outlook()
        found.append(Ahead(job, rounds, len(done), outlook))
        known |= {job.gives[name]: value for name, value in outlook.results.items()}
        if done:
            known |= {name: result.value for name, result in done[-1].results().items()}
    return found


def _rounds(workflow: Workflow, job: Planned) -> int:
    repeat = workflow.repeat
    return repeat.max if repeat and job.phase in repeat.phases else 1
