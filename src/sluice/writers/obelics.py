"""Writes interleaved documents as OBELICS has them: a row a document, its texts and images as parallel lists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.errors import ReadError
from sluice.sample import Item, Sample
from sluice.sample.fields import json_value, types_of
from sluice.sample.members import FIELDS_COLUMN, default_name
from sluice.storage import Location
from sluice.writers.bodies import Body, Intake
from sluice.writers.columns import check_embeddings, described, measures, typed_columns
from sluice.writers.files import HashedFile, hashed
from sluice.writers.media_files import content, free_names, own_metadata, text_of
from sluice.writers.protocol import ShardResult

GROUP_ROWS = 1000
GROUP_BYTES = 64 << 20
_MOST_BYTES = (1 << 31) - 1  # of one value of Arrow's `binary`, and of all of a list's

_OURS: dict[str, pa.DataType] = {
    "sample_id": pa.string(),
    "images": pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    "texts": pa.list_(pa.string()),
    "metadata": pa.string(),
    "general_metadata": pa.string(),
}


class ObelicsWriter:
    """`00000.parquet`: `sample_id`, `images` [{bytes, path}], `texts`, `metadata`, `general_metadata`, measures.

    Both lists have an entry an item, null where the other one stands; an image that is only referred to has its
    address as path and no bytes. `metadata` is a list in JSON of the items' fields (`alt` as `alt_text`), an entry
    a place, as in OBELICS; `general_metadata` an object in JSON of the sample's. Fields that were columns of their
    own are so again, with their types.
    """

    format: ClassVar[str] = "obelics"
    version: ClassVar[int] = 1

    def __init__(self, output: Location, *, embeddings: str = "none") -> None:
        self.output = output
        self.embeddings = check_embeddings(embeddings)

    def write_shard(
        self, index: int, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Write shard `index`."""
        intake, refused, written = Intake(_MOST_BYTES, referred=True), {}, 0
        name = f"{index:05d}.parquet"
        with hashed(self.output / name) as file:
            rows = _Rows(file, measures(fields, self.embeddings))
            try:
                for position, sample, found in intake(samples):
                    try:
                        rows.add(position, _row(sample, found), sample.fields)
                    except ReadError as error:
                        refused[position] = error.reason
                        continue
                    written += 1
                rows.end()
            finally:
                rows.close()
        return ShardResult((file.done(name),), written, intake.failed | refused)


def _row(sample: Sample, found: Sequence[Body]) -> dict[str, Any]:
    items = content(found, ("image",))
    if sum(len(body.data) for body in items) > _MOST_BYTES:
        raise ReadError("too large for this format", f"more than {_MOST_BYTES:,} bytes in one document")
    types = types_of(sample.fields)
    general = own_metadata(found) | {n: v for n, v in sample.fields.items() if n not in types}
    return {
        "sample_id": sample.key,
        "texts": [text_of(body) if body.item.modality == "text" else None for body in items],
        "images": [_image(place, body) for place, body in enumerate(items)],
        "metadata": _json([_entry(body.item) for body in items]),
        "general_metadata": _json(json_value(general)),
    }


def _image(place: int, body: Body) -> dict[str, Any] | None:
    if body.item.modality == "text":
        return None
    if body.item.media is None:
        return {"bytes": None, "path": body.item.fields["url"]}
    return {"bytes": body.data, "path": f"{place}.{default_name(body.item).rpartition('.')[2]}"}


def _entry(item: Item) -> dict[str, Any] | None:
    """The item's fields, without the address where that stands in the list of images."""
    own = dict(item.fields)
    if item.modality != "text" and item.media is None:
        own.pop("url")
    if "alt" in own and "alt_text" not in own:
        own = {"alt_text" if n == "alt" else n: v for n, v in own.items()}
    return {str(n): json_value(v) for n, v in own.items()} or None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)


class _Rows:
    """Gathers rows into row groups; the first one settles the types of the columns that pass through."""

    def __init__(self, file: HashedFile, measured: pa.Table | None) -> None:
        self._file = file
        own = [n for n in measured.column_names if n not in ("id", "key")] if measured is not None else []
        self._measured = measured.select(own) if measured is not None else None
        self._rows: list[dict[str, Any]] = []
        self._positions: list[int] = []
        self._passed: list[Mapping[str, Any]] = []
        self._bytes = 0
        self._types: dict[str, pa.DataType] | None = None
        self._parquet: pq.ParquetWriter | None = None

    def add(self, position: int, row: dict[str, Any], fields: Mapping[str, Any]) -> None:
        """Take one document in."""
        size = sum(len(image["bytes"] or b"") for image in row["images"] if image is not None)
        if self._rows and (self._bytes + size > GROUP_BYTES or len(self._rows) >= GROUP_ROWS):
            self._flush()
        self._rows.append(row)
        self._positions.append(position)
        self._passed.append(fields)
        self._bytes += size

    def end(self) -> None:
        """Write what is left."""
        if self._rows or self._parquet is None:
            self._flush()

    def close(self) -> None:
        """Finish the file's footer."""
        if self._parquet is not None:
            self._parquet.close()

    def _flush(self) -> None:
        columns = {n: pa.array([row[n] for row in self._rows], kind) for n, kind in _OURS.items()}
        if self._measured is not None:
            taken = self._measured.take(pa.array(self._positions, pa.int64()))
            columns |= {n: taken.column(n) for n in taken.column_names if n not in columns}
        columns |= self._others({*columns, FIELDS_COLUMN})
        table = described(pa.table(columns), self._measured)
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(
                self._file, table.schema, compression="zstd", use_dictionary=False, store_schema=True
            )
        self._parquet.write_table(table, row_group_size=GROUP_ROWS)
        self._rows, self._positions, self._passed, self._bytes = [], [], [], 0

    def _others(self, taken: set[str]) -> dict[str, pa.Array]:
        """The fields that were columns, as such."""
        own = [free_names({n: v for n, v in f.items() if n in types_of(f)}, taken) for f in self._passed]
        hints: dict[str, pa.DataType] = {}
        for fields in self._passed:
            hints = free_names(types_of(fields), taken) | hints
        found = typed_columns(own, self._types, hints=hints)
        found.setdefault(FIELDS_COLUMN, pa.nulls(len(own), pa.string()))
        self._types = self._types or {n: column.type for n, column in found.items()}
        return found
