"""Another program as a trainer, inferencer or evaluator: its command line, environment, limits and cost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

from pydantic import Field

from sluice.errors import TrialError, UsageError
from sluice.recipe.steps import Part
from sluice.sandbox.train import warden
from sluice.sandbox.train.placeholders import Value, check, filled
from sluice.sandbox.train.slots import slots
from sluice.storage import Location

_GIVEN_UP = Event()


@contextmanager
def ending() -> Iterator[None]:
    """While this holds, all programs at work in this process are ended; their results are not wanted any more."""
    _GIVEN_UP.set()
    try:
        yield
    finally:
        _GIVEN_UP.clear()


LOOK_S = 0.2
"""How often a running program's log is looked at."""
TAIL_BYTES = 4096


class Program(Part):
    """A command line with placeholders, and how to run it. Never a shell: every part is one argument.

    `values` fill further placeholders (`{steps}`); `python` is the interpreter that `{python}` stands for;
    `environment` adds to ours, `folder` is where it starts, `files` are texts written before it does, by their paths
    (a configuration that the program reads). `gpus` are locked machine-wide and told to it by
    CUDA_VISIBLE_DEVICES. It is ended after `timeout_s`, or `silent_s` without a word in its log, or once its log
    matches `diverged_when`. A crash or hang is tried again `retries` times. `price_per_hour` is what one hour of it
    costs, GPUs and all; `hours` is how long one run is expected to take, for plans.
    """

    argv: list[str] = Field(min_length=1)
    values: dict[str, Value] = Field(default_factory=dict)
    python: str | None = None
    environment: dict[str, str] = Field(default_factory=dict)
    folder: str | None = None
    files: dict[str, str] = Field(default_factory=dict)
    gpus: int = Field(0, ge=0)
    timeout_s: float | None = Field(None, gt=0)
    silent_s: float | None = Field(None, gt=0)
    retries: int = Field(0, ge=0)
    diverged_when: str | None = None
    price_per_hour: float | None = Field(None, ge=0)
    hours: float | None = Field(None, gt=0)

    def check(self, known: Iterable[str], needed: Iterable[str]) -> None:
        """Refuse placeholders that nothing fills, values that nothing uses, and lines that lack a needed one."""
        known = ["output_dir", "seed", "gpus", "log", "python", *known]
        files = [text for path_and_text in self.files.items() for text in path_and_text]
        texts = [*self.argv, *self.environment.values(), *files, self.folder or ""]
        used = check(texts, known, self.values)
        unused = sorted(set(self.values) - used)
        if unused:
            raise UsageError(
                f"no argument uses the value `{unused[0]}`", fix=f"write {{{unused[0]}}} in `argv`"
            )
        for name in needed:
            if name not in used:
                raise UsageError(
                    f"the command never mentions {{{name}}}: all runs would be the same",
                    fix="put it in `argv`, in `environment` or in one of `files`",
                )
        if self.diverged_when:
            try:
                re.compile(self.diverged_when)
            except re.error as error:
                raise UsageError(f"`diverged_when` is no regular expression: {error}") from None

    def run(self, given: Mapping[str, Any], log: Path) -> Usage:
        """Run it to its end; `TrialError` where it crashed, hung, diverged or was killed, after all retries.

        What it prints goes to `log` as it is printed.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(self.retries + 1):
            with slots(self.gpus, _GIVEN_UP.is_set) as devices:
                try:
                    return self._once({**given, "log": log}, log, devices)
                except TrialError as error:
                    if attempt == self.retries or error.reason.startswith("diverged"):
                        raise
                    _note(log, f"{error.reason}; try {attempt + 2} of {self.retries + 1}")
        raise AssertionError("the loop returns or raises")

    def _once(self, given: Mapping[str, Any], log: Path, devices: tuple[str, ...] | None) -> Usage:
        python = self.python or sys.executable
        values = {**self.values, **given, "gpus": self.gpus, "python": python}
        argv = [filled(part, values) for part in self.argv]
        environment = {**os.environ, **{k: filled(v, values) for k, v in self.environment.items()}}
        if devices is not None:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        for path, text in self.files.items():
            Location(filled(path, values)).write(filled(text, values).encode())
        _note(log, "$ " + json.dumps(argv, ensure_ascii=False))
        reading, writing = os.pipe()
        with log.open("ab") as sink, os.fdopen(reading, "rb") as report:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", warden.__file__, str(writing), *argv],
                    stdin=subprocess.PIPE,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    cwd=filled(self.folder, values) if self.folder else None,
                    env=environment,
                    pass_fds=[writing],
                    start_new_session=True,  # Ctrl-C is ours to pass on
                )
            except OSError as error:
                raise UsageError(
                    f"the program cannot be started: {error.strerror}", where=str(self.folder or argv[0])
                ) from None
            finally:
                os.close(writing)
            why = self._watch(process, log)
            found = json.loads(report.read() or b"{}")
        return self._judged(found, why, log)

    def _watch(self, process: subprocess.Popen[bytes], log: Path) -> str:
        """Wait for the end of the program; why it was ended, where it was."""
        started = heard = monotonic()
        size, why = 0, ""
        assert process.stdin is not None
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(LOOK_S)
                if _GIVEN_UP.is_set():
                    raise KeyboardInterrupt
                now, grown = monotonic(), log.stat().st_size
                if grown != size:
                    why = self._diverged(log, size)
                    heard, size = now, grown
                if process.returncode is not None or why:
                    return why
                if self.timeout_s and now - started > self.timeout_s:
                    return f"hung: no end after {self.timeout_s:g} s"
                if self.silent_s and now - heard > self.silent_s:
                    return f"hung: not a word for {self.silent_s:g} s"
        finally:
            # To a program that has ended this is nothing; one that has not is ended, whatever ended the watching.
            if process.returncode is None:
                with suppress(BrokenPipeError):
                    process.stdin.write(b"\n")
                    process.stdin.flush()
                process.wait()
            process.stdin.close()

    def _diverged(self, log: Path, start: int) -> str:
        if not self.diverged_when:
            return ""
        with log.open("rb") as file:
            file.seek(max(0, start - 1024))
            text = file.read().decode("utf-8", "replace")
        found = re.search(self.diverged_when, text)
        return f"diverged: {found.group().strip()[:80]}" if found else ""

    def _judged(self, found: Mapping[str, Any], why: str, log: Path) -> Usage:
        if "missing" in found:
            raise UsageError(
                f"the program cannot be started: {found['missing']}", fix="check `argv`, or say `python`"
            )
        code = found.get("code")
        if why:
            raise TrialError(why, f"{why}; it was ended", where=str(log))
        if code is None or code < 0:
            raise TrialError(f"killed: signal {-code if code else 9}", tail(log), where=str(log))
        if code:
            full = " (disk full)" if "No space left on device" in tail(log) else ""
            raise TrialError(f"crashed: exit code {code}{full}", tail(log), where=str(log))
        cost = self.price_per_hour * found["seconds"] / 3600 if self.price_per_hour is not None else None
        return Usage(found["seconds"], found["cpu_s"], found["peak_memory_bytes"], self.gpus, cost)


@dataclass(frozen=True)
class Usage:
    """What a program used: wall and CPU seconds, the largest memory of one of its processes, GPUs, and its cost."""

    seconds: float
    cpu_s: float
    peak_memory_bytes: int
    gpus: int = 0
    cost: float | None = None


def tail(log: Path) -> str:
    """The last lines of a log."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-12:])


def _note(log: Path, text: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(f"# {text}\n")
