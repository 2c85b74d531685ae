"""What an experiment measures: one value of one metric, of one arm, trained with one seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.storage import Location

SCHEMA = pa.schema(
    [
        pa.field("arm", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("reason", pa.string()),
    ]
)
"""Columns of the table of scores: one row for each (arm, seed, metric), also where there is no value."""


MODELS = pa.schema(
    [
        pa.field("arm", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("model", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("seconds", pa.float64()),
        pa.field("cost", pa.float64()),
        pa.field("gpu_hours", pa.float64()),
        pa.field("samples", pa.int64()),
        pa.field("samples_seen", pa.int64()),
        pa.field("peak_memory_bytes", pa.int64()),
        pa.field("cpu_s", pa.float64()),
    ]
)
"""Columns of the table of models: `model` is a path below the experiment, null where there is none for a `reason`."""


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one training run.

    `arm` names the data that the model was trained on (a pool, a mixture, `control`); runs of equal `seed` are
    paired across arms. `value` is None where the run gave none; `reason` then says why (`crashed: exit code 1`,
    `diverged: loss is NaN`), and is empty otherwise. A value is never NaN or infinite: that is a failure.
    """

    arm: str
    seed: int
    metric: str
    value: float | None
    reason: str = ""


def score_table(scores: Iterable[Score]) -> pa.Table:
    """The scores as a table of `SCHEMA`, in the order given."""
    rows = [
        {"arm": s.arm, "seed": s.seed, "metric": s.metric, "value": s.value, "reason": s.reason or None}
        for s in scores
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def scores_of(table: pa.Table) -> list[Score]:
    """The rows of a table of scores, in order; columns beside those of `SCHEMA` are left aside."""
    rows = table.select(SCHEMA.names).to_pylist()
    return [Score(r["arm"], r["seed"], r["metric"], r["value"], r["reason"] or "") for r in rows]


def write_scores(path: Path, scores: Iterable[Score]) -> None:
    """Write the scores to a Parquet file, whole or not at all."""
    sink = pa.BufferOutputStream()
    pq.write_table(score_table(scores), sink)
    Location(path).write(sink.getvalue().to_pybytes())


def read_scores(path: Path) -> list[Score]:
    """The scores in a Parquet file that `write_scores` wrote."""
    return scores_of(pq.read_table(path))
