"""Lets any other program answer prompts with a trained model."""

from __future__ import annotations

from pathlib import Path

from sluice.errors import TrialError
from sluice.sandbox.registry import inferencer
from sluice.sandbox.train.placeholders import filled
from sluice.sandbox.train.program import Program


@inferencer
class command:  # noqa: N801 - its name in a workflow
    """A command line as an inferencer; `answers` is the file or folder below `{output_dir}` that it leaves."""

    at_once = True

    def __init__(self, *, program: Program, answers: str = "{output_dir}") -> None:
        program.check(("model", "prompts"), needed=("model", "prompts", "output_dir"))
        self.program, self.answers = program, answers
        self.gpus, self.price_per_hour, self.hours = program.gpus, program.price_per_hour, program.hours

    def infer(self, model: Path, prompts: Path, output: Path, *, seed: int, log: Path) -> Path:
        """Run the program once; `TrialError` where it left no answers."""
        given = {"model": model, "prompts": prompts, "output_dir": output, "seed": seed}
        self.program.run(given, log)
        path = Path(filled(self.answers, {**self.program.values, **given, "log": log}))
        empty = path.is_dir() and not any(path.iterdir())
        if empty or not path.exists():
            raise TrialError("no result: the program left no answers", where=str(path))
        return path
