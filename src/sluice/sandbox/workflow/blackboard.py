"""The blackboard: what the jobs of a workflow have found so far, by name, on disk after every job.

```
<output>/jobs/1.probe.pools/
    job.json        what the job is, written when it begins
    done.json       what it gave, written last: a job with this file is finished, one without is done again
    <result>.json   JSON data        <result>.parquet   a table
    files/          the job's own folder; a result may be a path below it
```
Nothing is ever changed: a later job's result of the same name hides the earlier one.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.errors import RunError
from sluice.storage import Location


@dataclass(frozen=True)
class JobFolder:
    """The files of one job."""

    path: Path

    @property
    def files(self) -> Path:
        """The folder that the hook may write in."""
        return self.path / "files"

    @property
    def begun(self) -> dict[str, Any] | None:
        """What the job was when it began; None where it never did."""
        return _read(self.path / "job.json")

    @property
    def done(self) -> dict[str, Any] | None:
        """What it gave (`results`, `seconds`); None where it has not finished."""
        return _read(self.path / "done.json")

    def begin(self, job: Mapping[str, Any], *, keep: bool) -> None:
        """Note that the job begins; what a killed try left in its folder goes, unless `keep`."""
        if not keep and self.path.exists():
            shutil.rmtree(self.path)
        self.files.mkdir(parents=True, exist_ok=True)
        _write(self.path / "job.json", job)

    def finish(self, results: Mapping[str, Any], seconds: float) -> None:
        """Write the results, and then that they are all there."""
        kept = {name: self._keep(name, value) for name, value in results.items()}
        _write(self.path / "done.json", {"results": kept, "seconds": round(seconds, 3)})

    def forget(self) -> None:
        """Forget that it has finished; what lies in its folder stays."""
        (self.path / "done.json").unlink(missing_ok=True)

    def results(self) -> dict[str, Result]:
        """The results of a finished job."""
        return {
            name: Result(self.path, kept) for name, kept in (self.done or {"results": {}})["results"].items()
        }

    def _keep(self, name: str, value: Any) -> dict[str, str]:
        if isinstance(value, pa.Table):
            sink = pa.BufferOutputStream()
            pq.write_table(value, sink)
            Location(self.path / f"{name}.parquet").write(sink.getvalue().to_pybytes())
            return {"table": f"{name}.parquet"}
        if isinstance(value, Path):
            if not value.exists():
                raise RunError(f"the result `{name}` is the path {str(value)!r}, where there is nothing")
            inside = value.resolve().is_relative_to(self.path.resolve())
            # Relative where it can be, so that an experiment can be moved.
            return {"path": os.path.relpath(value, self.path) if inside else str(value.resolve())}
        _write(self.path / f"{name}.json", _plain(value, name))
        return {"json": f"{name}.json"}


@dataclass(frozen=True)
class Result:
    """A result on disk; `value` reads it."""

    folder: Path
    kept: Mapping[str, str]

    @property
    def path(self) -> Path:
        """The file or folder that holds it."""
        return self.folder / next(iter(self.kept.values()))

    @property
    def value(self) -> Any:
        """JSON data, an Arrow table, or a path."""
        if "json" in self.kept:
            return json.loads(self.path.read_bytes())
        return pq.read_table(self.path) if "table" in self.kept else self.path


class Blackboard:
    """The named results of an experiment, as far as it has come."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self._results: dict[str, Result] = {}

    @classmethod
    def read(cls, output: Path) -> Blackboard:
        """The blackboard of a finished or interrupted experiment, without running anything."""
        found = cls(output)
        for folder in found.folders():
            found.add(folder)
        return found

    def folder(self, round_number: int, phase: str, name: str) -> JobFolder:
        """The folder of a job."""
        return JobFolder(self.output / "jobs" / f"{round_number}.{phase}.{name}")

    def folders(self) -> Iterator[JobFolder]:
        """The folders of all jobs that ever began, in the order in which they did."""
        found = [JobFolder(path) for path in (self.output / "jobs").glob("*.*.*")]
        begun = [(folder.begun, folder) for folder in found]
        yield from (f for b, f in sorted(((b, f) for b, f in begun if b), key=lambda each: each[0]["number"]))

    def add(self, folder: JobFolder) -> None:
        """Put up the results of a finished job."""
        self._results |= folder.results()

    def __contains__(self, name: str) -> bool:
        return name in self._results

    def __iter__(self) -> Iterator[str]:
        return iter(self._results)

    def __getitem__(self, name: str) -> Any:
        return self._results[name].value

    def get(self, name: str, otherwise: Any = None) -> Any:
        """A result, or `otherwise` where no job has given it."""
        found = self._results.get(name)
        return otherwise if found is None else found.value

    def path(self, name: str) -> Path:
        """The file or folder that holds a result."""
        return self._results[name].path


def _plain(value: Any, name: str) -> Any:
    """The value as JSON has it: NumPy's numbers become numbers; what JSON has not is an error."""
    if isinstance(value, float) and not math.isfinite(value):
        raise RunError(f"the result `{name}` holds {value}, which is no number", fix="give null, and say why")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, f"{name}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, name) for inner in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), name)
    raise RunError(
        f"the result `{name}` is a {type(value).__name__}, which cannot be kept",
        fix="give JSON data, an Arrow table or a path",
    )


def _write(path: Path, document: Any) -> None:
    Location(path).write(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode())


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return found
