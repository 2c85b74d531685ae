"""Reads metrics from what a program wrote: JSON, JSONL, CSV, or by regular expressions from its log."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from sluice.errors import TrialError, UsageError
from sluice.recipe.steps import Part
from sluice.sandbox.train.placeholders import check, filled


class Results(Part):
    """Where the metrics are: a file in one of four formats, and for each metric where in it.

    `file` may hold placeholders and `*` (then exactly one file must match); the log, unless it says otherwise. In
    JSON a metric is found by a path (`overall.accuracy`, `history.-1.loss`); in JSONL by such a path in the last line
    that has it; in CSV by a column of the last row, or of the one row that `where` picks (`{split: test}`); by regex
    it is the group of the last match. `scale` multiplies all (0.01 for percentages).
    """

    format: Literal["json", "jsonl", "csv", "regex"]
    file: str = "{log}"
    metrics: dict[str, str] = Field(min_length=1)
    where: dict[str, str] = Field(default_factory=dict)
    scale: float = 1.0

    def check(self, known: Iterable[str], values: Mapping[str, Any]) -> None:
        """Refuse what can never be read: unknown placeholders, expressions without a group."""
        check([self.file], ["output_dir", "seed", "log", *known], values)
        if self.where and self.format != "csv":
            raise UsageError(
                "`where` picks a row of a CSV file", fix=f"leave it out with format: {self.format}"
            )
        for name, pattern in self.metrics.items() if self.format == "regex" else ():
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                raise UsageError(f"`{name}` is no regular expression: {error}") from None
            if groups != 1:
                raise UsageError(
                    f"the expression of `{name}` must have one group, not {groups}",
                    fix="as in 'Accuracy: ([0-9.]+)'",
                )

    def read(self, given: Mapping[str, Any]) -> dict[str, float]:
        """The metrics; `TrialError` where there is no file, it is not what was promised, or a number is none."""
        path = self._found(filled(self.file, given))
        try:
            text = path.read_text(encoding="utf-8", errors="strict" if self.format != "regex" else "replace")
            raw = _READERS[self.format](self, text)
        except (ValueError, csv.Error) as error:
            raise TrialError(f"wrong result: {_first_line(error)}", where=str(path)) from None
        return {name: _number(name, raw[name], path) * self.scale for name in self.metrics}

    def _found(self, pattern: str) -> Path:
        path = Path(pattern)
        if "*" in pattern:
            root = Path(path.anchor) if path.is_absolute() else Path()
            found = sorted(root.glob(str(path.relative_to(root)) if path.is_absolute() else pattern))
            if len(found) > 1:
                raise TrialError(f"wrong result: {len(found)} files match", where=pattern)
            path = found[0] if found else path
        if not path.is_file():
            raise TrialError("no result: the program wrote no such file", where=str(path))
        return path


def _from_json(wanted: Results, text: str) -> dict[str, Any]:
    document = json.loads(text)
    return {name: _at(document, path) for name, path in wanted.metrics.items()}


def _from_jsonl(wanted: Results, text: str) -> dict[str, Any]:
    lines = [json.loads(line) for line in text.splitlines() if line.strip()]
    found: dict[str, Any] = {}
    for name, path in wanted.metrics.items():
        having = [value for value in (_at(line, path) for line in lines) if value is not None]
        found[name] = having[-1] if having else None
    return found


def _from_csv(wanted: Results, text: str) -> dict[str, Any]:
    rows = list(csv.DictReader(text.splitlines(), strict=True))
    chosen = [row for row in rows if all(row.get(key) == value for key, value in wanted.where.items())]
    if wanted.where and len(chosen) != 1:
        raise ValueError(f"{len(chosen)} rows where {wanted.where}")
    last = chosen[-1] if chosen else {}
    return {name: last.get(column) for name, column in wanted.metrics.items()}


def _by_regex(wanted: Results, text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, pattern in wanted.metrics.items():
        matches = re.findall(pattern, text, re.MULTILINE)
        found[name] = matches[-1] if matches else None
    return found


_READERS = {"json": _from_json, "jsonl": _from_jsonl, "csv": _from_csv, "regex": _by_regex}


def _at(document: Any, path: str) -> Any:
    """The part of a document at a path of keys and indices; None where there is none."""
    for part in path.split("."):
        if isinstance(document, Mapping):
            document = document.get(part)
        elif isinstance(document, list) and re.fullmatch(r"-?\d+", part):
            index = int(part)
            document = document[index] if -len(document) <= index < len(document) else None
        else:
            return None
    return document


def _number(name: str, value: Any, path: Path) -> float:
    if value is None or value == "":
        raise TrialError(f"no result: there is no {name}", where=str(path))
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TrialError(f"wrong result: {name} is a {type(value).__name__}, not a number", where=str(path))
    try:
        number = float(str(value).strip().rstrip("%"))
    except ValueError:
        raise TrialError(f"wrong result: {name} is {value!r}, not a number", where=str(path)) from None
    if not math.isfinite(number):
        raise TrialError(f"diverged: {name} is {number}", where=str(path))
    return number


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
