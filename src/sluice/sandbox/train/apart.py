"""Runs a component that works inside Sluice in a process of its own, which can be ended where it hangs."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

import sluice.errors
from sluice.errors import SluiceError, TrialError
from sluice.sandbox.registry import Component
from sluice.sandbox.train.program import Program
from sluice.sandbox.train.protocol import Trained
from sluice.sandbox.train.trials import reason_of
from sluice.storage.scratch import scratch

TimeoutS = Annotated[float, Field(gt=0)] | None
"""`timeout_s: 600`; a component that has this setting, and is given it, has a process of its own for each call."""

_START = (
    "import json, sys; from pathlib import Path; sys.path[:] = json.loads(Path(sys.argv[1]).read_text())['path']; "
    "from sluice.sandbox.train.apart import answer; answer(Path(sys.argv[1]), Path(sys.argv[2]))"
)
_READ: Mapping[str, Callable[[Any], Any]] = {
    "train": lambda value: Trained(**{**value, "model": Path(value["model"])}),
    "infer": Path,
    "evaluate": dict,
}


class Apart:
    """A trainer, inferencer or evaluator whose every call has a process of its own, for `timeout_s` at most.

    A call that takes longer, or whose process dies, is a `TrialError`, as of any program; what the call raises is
    raised here. Everything else is asked of the component itself, as made of the settings `given`.
    """

    at_once = True  # no process is shared

    def __init__(self, component: Component, given: Mapping[str, Any], made: Any, timeout_s: float) -> None:
        self._component, self._given, self._made = component, given, made
        self._program = Program(
            argv=["{python}", "-P", "-c", _START, "{request}", "{answer}"], timeout_s=timeout_s
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def train(self, data: Path, output: Path, *, seed: int, log: Path) -> Trained:
        """As `Trainer.train`."""
        found: Trained = self._call("train", data=data, output=output, seed=seed, log=log)
        return found

    def infer(self, model: Path, prompts: Path, output: Path, *, seed: int, log: Path) -> Path:
        """As `Inferencer.infer`."""
        found: Path = self._call("infer", model=model, prompts=prompts, output=output, seed=seed, log=log)
        return found

    def evaluate(
        self, model: Path, data: Path | None, output: Path, *, seed: int, log: Path
    ) -> Mapping[str, float]:
        """As `Evaluator.evaluate`."""
        found: dict[str, float] = self._call(
            "evaluate", model=model, data=data, output=output, seed=seed, log=log
        )
        return found

    def _call(self, method: str, **arguments: Any) -> Any:
        asked = {
            "path": sys.path,
            "module": self._component.module,
            "name": self._component.target.__name__,
            "settings": self._given,
            "method": method,
            "arguments": arguments,
        }
        with scratch("sluice-apart") as folder:
            request, place = folder / "request.json", folder / "answer.json"
            request.write_text(json.dumps(asked, default=str), encoding="utf-8")
            self._program.run({"request": request, "answer": place}, arguments["log"])
            if not place.exists():
                raise TrialError("crashed: it ended without an answer", where=str(arguments["log"]))
            told = json.loads(place.read_bytes())
        if "reason" in told:
            raise TrialError(told["reason"], told["what"], where=told["where"], fix=told["fix"])
        if "error" in told:
            raise getattr(sluice.errors, told["error"])(told["what"], where=told["where"], fix=told["fix"])
        return _READ[method](told["value"])


def answer(request: Path, place: Path) -> None:
    """The inside of such a process: do what is asked in the file `request`, and write to `place` what came of it."""
    asked = json.loads(request.read_bytes())
    try:
        component: Component = getattr(import_module(asked["module"]), asked["name"]).component
        made = component.make(asked["settings"])
        arguments = {name: Path(v) if isinstance(v, str) else v for name, v in asked["arguments"].items()}
        found = getattr(made, asked["method"])(**arguments)
        told: dict[str, Any] = {"value": asdict(found) if isinstance(found, Trained) else found}
    except Exception as error:  # noqa: BLE001 - it is raised again where the call was made
        traceback.print_exc()
        told = _told(error)
    writing = place.with_suffix(".writing")
    writing.write_text(json.dumps(told, default=_plain), encoding="utf-8")
    writing.replace(place)


def _told(error: Exception) -> dict[str, str]:
    reason = reason_of(error)
    known = error if isinstance(error, SluiceError) else SluiceError(str(error))
    how = {"error": type(error).__name__} if reason is None else {"reason": reason}
    return {**how, "what": known.what, "where": known.where, "fix": known.fix}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value.item()
