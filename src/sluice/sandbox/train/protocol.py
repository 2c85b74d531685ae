"""What trainers, inferencers and evaluators are, whether they run in this process or as another program.

A component is one file with one class, declared with `@trainer`, `@inferencer` or `@evaluator`
(`sluice.sandbox.registry`). Its settings are the keyword arguments of its `__init__`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

DataFormat = Literal["webdataset", "llava", "csv-videos", "parquet", "sluice"]
"""In what form a trainer reads its data: an export, or `sluice` for the selection itself (store and ids)."""

Better = Literal["higher", "lower"]
"""Which way a metric is better."""


@dataclass(frozen=True)
class Trained:
    """What one training run left.

    `model` is the folder with the checkpoint; `metrics` are the final training metrics (loss, …);
    `samples_seen` counts samples with repetition; `seconds` are wall-clock; `peak_memory_bytes` is of the process
    and its children (of the device, where training ran on one). `diverged` says why where training went wrong
    (`loss is NaN at step 120`), and is None where it did not. `cpu_s` is CPU time, None where it is not known.
    """

    model: Path
    metrics: Mapping[str, float]
    samples_seen: int
    seconds: float
    peak_memory_bytes: int
    diverged: str | None = None
    cpu_s: float | None = None


@runtime_checkable
class Trainer(Protocol):
    """Trains one model on one pool with one seed. Equal data and seed give an equal model, where it can."""

    @property
    def data_format(self) -> DataFormat:
        """The form in which it reads data; a class attribute will do."""
        ...

    def train(self, data: Path, output: Path, *, seed: int, log: Path) -> Trained:
        """Train on the data in the folder `data`, leave the model below `output`, write what happens to `log`.

        `output` exists and is empty; a trainer with `resumes = True` finds there, and goes on from, what a killed
        try of the same run left. A run that went wrong comes back as `Trained.diverged`, or raises `TrialError`;
        it never returns numbers that are no result.
        """
        ...


@runtime_checkable
class Inferencer(Protocol):
    """Makes a trained model answer prompts."""

    def infer(self, model: Path, prompts: Path, output: Path, *, seed: int, log: Path) -> Path:
        """Answer the prompts in a file or folder; returns the file or folder with the answers, below `output`."""
        ...


@runtime_checkable
class Evaluator(Protocol):
    """Judges a trained model by metrics; `metrics` names all that `evaluate` returns, with what is better."""

    @property
    def metrics(self) -> Mapping[str, Better]:
        """Every metric, with what is better; a `ClassVar` will do."""
        ...

    def evaluate(
        self, model: Path, data: Path | None, output: Path, *, seed: int, log: Path
    ) -> Mapping[str, float]:
        """The value of every metric; `data` is the held-out set, None where the evaluator brings its own.

        Raises `TrialError` where there is no result; NaN and infinity are none.
        """
        ...
