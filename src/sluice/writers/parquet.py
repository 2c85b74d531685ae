"""Writes Parquet: original bytes, text, sidecars, measures and source fields, one row a sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.sample import Sample
from sluice.sample.members import FIELDS_COLUMN
from sluice.storage import Location
from sluice.writers.bodies import Body, Intake
from sluice.writers.columns import check_embeddings, described, hints_of, measures, renamed, typed_columns
from sluice.writers.files import HashedFile, hashed, parquet_file
from sluice.writers.inline import inline_text, is_plain_image
from sluice.writers.protocol import ShardResult

GROUP_ROWS = 1000
GROUP_BYTES = 64 << 20
_MOST_BYTES = (1 << 31) - 1  # of one value of Arrow's `binary`

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SIDECAR = pa.struct(
    [("name", pa.string()), ("modality", pa.string()), ("content_type", pa.string()), ("bytes", pa.binary())]
)
_OURS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "key": pa.string(),
    "image": IMAGE,
    "text": pa.string(),
    "sidecars": pa.list_(SIDECAR),
    "members": pa.list_(pa.string()),
}


class ParquetWriter:
    """`00000.parquet`: id, key, `image` {bytes, path}, `text`, `sidecars`, `members`, measures, source fields.

    `image` is the sample's first picture, `text` its first text in UTF-8, `sidecars` every other item with its
    name and bytes, `members` the names of all items in order. Row groups hold up to 1,000 rows or 64 MB.
    """

    format: ClassVar[str] = "parquet"
    version: ClassVar[int] = 1

    def __init__(self, output: Location, *, embeddings: str = "none") -> None:
        self.output = output
        self.embeddings = check_embeddings(embeddings)

    def write_shard(
        self, index: int, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Write shard `index`."""
        intake = Intake(_MOST_BYTES)
        name = f"{index:05d}.parquet"
        with hashed(self.output / name) as file:
            rows = _Rows(file, measures(fields, self.embeddings))
            try:
                for position, sample, found in intake(samples):
                    rows.add(position, sample, found)
                rows.end()
            finally:
                rows.close()
        return ShardResult((file.done(name),), len(intake.kept), intake.failed)


class _Rows:
    """Gathers rows into row groups; the first group settles the types of the source fields."""

    def __init__(self, file: HashedFile, fields: pa.Table | None) -> None:
        self._file, self._fields = file, fields
        self._rows: list[dict[str, Any]] = []
        self._positions: list[int] = []
        self._passed: list[Mapping[str, Any]] = []
        self._bytes = 0
        self._types: dict[str, pa.DataType] | None = None
        self._open: Any = None
        self._parquet: pq.ParquetWriter | None = None

    def add(self, position: int, sample: Sample, found: list[Body]) -> None:
        """Take one sample in."""
        size = sum(len(body.data) for body in found)
        if self._rows and self._bytes + size > GROUP_BYTES:
            self._flush()
        self._rows.append(_row(sample, found))
        self._positions.append(position)
        self._passed.append(sample.fields)
        self._bytes += size
        if len(self._rows) >= GROUP_ROWS:
            self._flush()

    def end(self) -> None:
        """Write what is left."""
        if self._rows or self._parquet is None:
            self._flush()

    def close(self) -> None:
        """Finish the file's footer."""
        if self._open is not None:
            self._open.__exit__(None, None, None)

    def _flush(self) -> None:
        columns = {n: pa.array([row[n] for row in self._rows], kind) for n, kind in _OURS.items()}
        if self._fields is not None:
            taken = self._fields.take(pa.array(self._positions, pa.int64()))
            columns |= {n: taken.column(n) for n in taken.column_names if n not in columns}
        passed = [renamed(row, columns) for row in self._passed]
        found = typed_columns(passed, self._types, hints=hints_of(self._passed, columns))
        if self._types is None:
            found.setdefault(FIELDS_COLUMN, pa.nulls(len(passed), pa.string()))
            self._types = {n: column.type for n, column in found.items()}
        table = described(pa.table(columns | found), self._fields)
        if self._parquet is None:
            self._open = parquet_file(self._file, table.schema)
            self._parquet = self._open.__enter__()
        self._parquet.write_table(table, row_group_size=GROUP_ROWS)
        self._rows, self._positions, self._passed, self._bytes = [], [], [], 0


def _row(sample: Sample, found: list[Body]) -> dict[str, Any]:
    image = next((b for b in found if is_plain_image(sample.key, b)), None)
    text = inline_text(found)
    rest = [b for b in found if b is not image and (text is None or b is not text[0])]
    return {
        "id": sample.id,
        "key": sample.key,
        "image": {"bytes": image.data, "path": f"{sample.key}.{image.name}"} if image else None,
        "text": text[1] if text else None,
        "sidecars": [
            {
                "name": b.name,
                "modality": b.item.modality,
                "content_type": b.item.content_type,
                "bytes": b.data,
            }
            for b in rest
        ],
        "members": [b.name for b in found],
    }
