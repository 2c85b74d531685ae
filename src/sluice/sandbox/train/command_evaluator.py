"""Evaluates with any other program: VBench, an FVD script, VLMEvalKit, a benchmark's own evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sluice.errors import UsageError
from sluice.sandbox.registry import evaluator
from sluice.sandbox.train.parse_results import Results
from sluice.sandbox.train.program import Program
from sluice.sandbox.train.protocol import Better


@evaluator
class command:  # noqa: N801 - its name in a workflow
    """A command line as an evaluator; `better` says of every metric of `results` which way is better.

    Give it `{model}`, or `{data}` where it judges answers that an `infer` job made.
    """

    at_once = True

    def __init__(self, *, program: Program, results: Results, better: dict[str, Better]) -> None:
        program.check(("model", "data"), needed=())
        results.check(("model", "data"), program.values)
        missing = sorted(set(results.metrics) ^ set(better))
        if missing:
            raise UsageError(
                f"`results` and `better` do not name the same metrics: `{missing[0]}`",
                fix="say of every metric whether `higher` or `lower` is better",
            )
        self.program, self.results = program, results
        self.metrics: Mapping[str, Better] = better
        self.gpus, self.price_per_hour, self.hours = program.gpus, program.price_per_hour, program.hours

    def evaluate(
        self, model: Path, data: Path | None, output: Path, *, seed: int, log: Path
    ) -> Mapping[str, float]:
        """Run the program once; `TrialError` where it gave no number for a metric."""
        given = {"model": model, "data": data or "", "output_dir": output, "seed": seed}
        self.program.run(given, log)
        return self.results.read({**self.program.values, **given, "log": log})
