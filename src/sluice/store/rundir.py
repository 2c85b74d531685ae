"""The run directory: where the lock, the packing plan, the ledger and the report of one output lie."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluice.errors import UsageError
from sluice.storage import Location

RUN_FOLDER = "_sluice"


@dataclass(frozen=True)
class RunDir:
    """The places of one run. `output` holds what users take away; `location` what the run remembers."""

    output: Location
    location: Location

    @classmethod
    def of(cls, output: Location, run: Location | None = None) -> RunDir:
        """The run directory of an output: `_sluice` in it, unless `run` says otherwise."""
        return cls(output, run or output / RUN_FOLDER)

    @classmethod
    def find(cls, path: str) -> RunDir:
        """The run at `path`: an output, or a run directory itself."""
        place = Location(path)
        for candidate in (place / RUN_FOLDER, place):
            if (candidate / "lock.yaml").exists():
                found = cls(place, candidate)
                return cls(Location(found.lock_facts()["output"]), candidate) if candidate == place else found
        raise UsageError(
            "there is no run here",
            where=str(path),
            fix="give the output of `sluice run` (it has a _sluice folder)",
        )

    @property
    def lock(self) -> Location:
        """The recipe as resolved, with every version and fingerprint."""
        return self.location / "lock.yaml"

    @property
    def summary(self) -> Location:
        """What `sluice run --json` printed."""
        return self.location / "summary.json"

    @property
    def selection(self) -> Location:
        """All samples read, with their fates."""
        return self.output / "selection.parquet"

    @property
    def parents(self) -> Location:
        """All samples that a splitter took apart, with what became of them; there only where one did."""
        return self.location / "parents.parquet"

    @property
    def report(self) -> Location:
        """The HTML report."""
        return self.location / "report.html"

    @property
    def packing(self) -> Location:
        """The packing plan: for each kept sample its shard and output key."""
        return self.location / "packing.parquet"

    @property
    def shards(self) -> Location:
        """The ledger: one JSON file a finished shard."""
        return self.location / "shards"

    @property
    def dropped(self) -> RunDir:
        """Where the plan and the ledger lie of dropped samples that are written to the same output."""
        return RunDir(self.output, self.location / "dropped")

    @property
    def finished(self) -> Location:
        """The files of the output that tell of all shards together; there only where the format has such."""
        return self.location / "finished.json"

    @property
    def facts(self) -> Location:
        """Where this run's store, table and source lie."""
        return self.location / "run.json"

    def lock_facts(self) -> dict[str, Any]:
        """The contents of `run.json`."""
        found: dict[str, Any] = json.loads(self.facts.read())
        return found

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        """Write `run.json`."""
        self.facts.write(json.dumps(dict(facts), indent=1, sort_keys=True).encode())
