"""The samples of a pool as an export takes them: found in their run, each as often as the pool names it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sluice.errors import TrialError, UsageError
from sluice.sample import Sample
from sluice.sandbox.pools import Pool
from sluice.store.opened import Run


@dataclass(frozen=True, eq=False)
class Members:
    """A pool's samples: ids and ordinals in the run, ascending by these, and how often each is in the pool.

    `failed` counts, by reason, what could not be written, a sample as often as it is in the pool.
    """

    run: Run
    ids: list[str]
    ordinals: NDArray[np.int64]
    times: NDArray[np.int64]
    failed: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return int(self.times.sum())

    def once(self) -> Iterator[Sample | None]:
        """Each sample once, in source order."""
        return self.run.samples(self.ordinals)

    def again_and_again(self) -> Iterator[Sample]:
        """Each sample as often as it is in the pool, the second time as `key~2`: all once, then all repeated ones.

        Copies are not neighbours, so that they do not meet in one batch. What is not in the source now is counted.
        """
        for number in range(1, int(self.times.max(initial=0)) + 1):
            for sample in self.run.samples(self.ordinals[self.times >= number]):
                if sample is None:
                    self.failed["could not be read again"] += 1
                else:
                    yield sample if number == 1 else replace(sample, key=f"{sample.key}~{number}")


def members(pool: Pool) -> Members:
    """The pool's samples in the run that it was drawn from.

    `TrialError` where it is empty, `UsageError` where it names no run or samples that the run does not know.
    """
    if not len(pool):
        raise TrialError("empty pool: no samples to train on")
    path = pool.origin.get("run")
    if not path:
        raise UsageError(
            f"the pool {pool.name!r} names no run in which its samples' media could be found",
            fix="give `run:` to the job that makes the pools",
        )
    run = Run.open(str(path))
    known = run.query("SELECT CAST(id AS VARCHAR) AS id, ordinal FROM samples ORDER BY ordinal")
    ids = known.column("id").combine_chunks()
    at = pc.index_in(pool.ids.cast(pa.string()), ids)
    if at.null_count:
        raise UsageError(
            f"{at.null_count} samples of the pool {pool.name!r} are not in its run",
            where=str(path),
            fix="begin the experiment anew, with --restart: the run was made again over another source",
        )
    places, times = np.unique(at.to_numpy(), return_counts=True)
    ordinals = known.column("ordinal").to_numpy()[places].astype(np.int64)
    return Members(run, ids.take(pa.array(places)).to_pylist(), ordinals, times.astype(np.int64))
