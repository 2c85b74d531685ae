"""Trains with any other program: LLaVA, LLaMA-Factory, EasyAnimate, T2V-Turbo, a script of one's own."""

from __future__ import annotations

from pathlib import Path

from sluice.errors import TrialError
from sluice.sandbox.registry import trainer
from sluice.sandbox.train.exported import Exported
from sluice.sandbox.train.parse_results import Results
from sluice.sandbox.train.placeholders import filled
from sluice.sandbox.train.program import Program
from sluice.sandbox.train.protocol import DataFormat, Trained

_DATA = ("train_data", "media_dir", "train_samples", "last_shard")


@trainer
class command:  # noqa: N801 - its name in a workflow
    """A command line as a trainer.

    `data_format` is what `{train_data}` is exported in; `results` says where the training metrics are (none where it
    is left out); `model` where the program leaves the checkpoint (a placeholder and `*` may be in it: the last by
    name); `samples_seen` what it trains on in all, with repetition (default: every sample once).
    """

    at_once = True

    def __init__(
        self,
        *,
        program: Program,
        data_format: DataFormat = "webdataset",
        results: Results | None = None,
        model: str = "{output_dir}",
        samples_seen: int | None = None,
    ) -> None:
        program.check(_DATA, needed=("train_data", "output_dir", "seed"))
        if results is not None:
            results.check(_DATA, program.values)
        self.program, self.results, self.model = program, results, model
        self.data_format: DataFormat = data_format
        self.samples_seen = samples_seen
        self.gpus, self.price_per_hour, self.hours = program.gpus, program.price_per_hour, program.hours

    def train(self, data: Path, output: Path, *, seed: int, log: Path) -> Trained:
        """Run the program once; `TrialError` where it gave no model or no metrics."""
        found = Exported.read(data)
        given = {
            "train_data": found.data,
            "media_dir": found.media,
            "train_samples": found.samples,
            "last_shard": found.shards - 1,
            "output_dir": output,
            "seed": seed,
        }
        used = self.program.run(given, log)
        given = {**self.program.values, **given, "log": log}
        metrics = self.results.read(given) if self.results is not None else {}
        model = _last(filled(self.model, given))
        seen = found.samples if self.samples_seen is None else self.samples_seen
        return Trained(model, metrics, seen, used.seconds, used.peak_memory_bytes, None, used.cpu_s)


def _last(pattern: str) -> Path:
    path = Path(pattern)
    found = sorted(path.parent.glob(path.name)) if "*" in path.name else [path] if path.exists() else []
    if not found:
        raise TrialError("no result: the program left no model", where=pattern)
    return found[-1]
