"""Components that go wrong in every way, in a module that a process of its own loads fast."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from sluice.errors import MissingError, TrialError, UsageError
from sluice.sandbox.registry import evaluator, inferencer, trainer
from sluice.sandbox.train.apart import TimeoutS
from sluice.sandbox.train.protocol import Better, Trained


@trainer
class stubborn:  # noqa: N801 - its name in a workflow
    """Goes wrong in the way of its seed, or leaves a model."""

    data_format = "sluice"

    def __init__(self, *, ways: tuple[str, ...] = (), timeout_s: TimeoutS = None) -> None:
        self.ways, self.timeout_s = ways, timeout_s

    def train(self, data: Path, output: Path, *, seed: int, log: Path) -> Trained:
        way = dict(enumerate(self.ways, 1)).get(seed)
        if way == "hang":
            time.sleep(60)
        if way == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if way == "leave":
            os._exit(0)
        if way == "crash":
            raise ZeroDivisionError("planted\nsecond line")
        if way == "trial":
            raise TrialError("diverged: planted", "all of it", where="here", fix="do so")
        if way == "usage":
            raise UsageError("wrong for all", fix="mend it")
        if way == "missing":
            raise MissingError("no library")
        (output / "model.txt").write_text(str(os.getpid()))
        return Trained(output, {"loss": float("nan") if way == "nan" else 0.25}, 3, 0.1, 5, None, 0.05)


@evaluator
class asking:  # noqa: N801 - its name in a workflow
    """Whether the model was made in another process than this."""

    metrics: ClassVar[Mapping[str, Better]] = {"elsewhere": "higher"}

    def evaluate(
        self, model: Path, data: Path | None, output: Path, *, seed: int, log: Path
    ) -> dict[str, float]:
        return {"elsewhere": float((model / "model.txt").read_text() != str(os.getpid()))}


@inferencer
class echo:  # noqa: N801 - its name in a workflow
    """Answers with the prompts."""

    def infer(self, model: Path, prompts: Path, output: Path, *, seed: int, log: Path) -> Path:
        (output / "answers.txt").write_text(prompts.read_text() * seed)
        return output / "answers.txt"
