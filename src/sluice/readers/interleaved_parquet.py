"""Reads interleaved documents from Parquet: one row an item, the rows of a document together and in order."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sluice.errors import ReadError, StorageError, UsageError
from sluice.readers.documents import MOST_ITEMS, DocumentBuilder, Trouble
from sluice.readers.groups import key_hash
from sluice.readers.notes import failed_sample
from sluice.readers.parquet import ParquetReader, row_groups
from sluice.readers.protocol import FileStat, Slice
from sluice.readers.source import Source
from sluice.readers.source_ref import References, SourceRef, page_of
from sluice.readers.table import Origin
from sluice.sample import MEDIA_MODALITIES, Media, Sample, sample_id
from sluice.sample.fields import Fields
from sluice.sample.members import FIELDS_COLUMN, leftover_fields
from sluice.storage import Location

SLICE_SAMPLES = 512
SLICE_BYTES = 256 << 20

REQUIRED = ("sample_id", "position", "modality")
RESERVED = (*REQUIRED, "content_type", "text_content", "binary_content", "source_ref", "materialize_error")
"""The columns of the format; all others pass through with their types."""

_MODALITIES = frozenset({"text", "metadata", "other", *MEDIA_MODALITIES})


class _Rows:
    """A batch with all of its columns but the bytes as Python lists, made once."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        names = batch.schema.names
        self.columns = {
            n: batch.column(at).to_pylist() for at, n in enumerate(names) if n != "binary_content"
        }
        self.bytes = batch.column(names.index("binary_content")) if "binary_content" in names else None
        plain = [f for f in batch.schema if f.name not in (*RESERVED, FIELDS_COLUMN)]
        self.types = {f.name: f.type.value_type if pa.types.is_dictionary(f.type) else f.type for f in plain}


Cells = tuple[_Rows, int]
"""A batch and the place of one row in it."""


@dataclass(frozen=True, slots=True)
class _Run:
    """The rows [start, stop) of one document, and the hash of its id (0 for none)."""

    start: int
    stop: int
    mark: int


class InterleavedParquetReader:
    """Documents as rows of items: NeMo Curator's schema (`sample_id`, `position`, `modality`, …).

    A document is a run of rows with one `sample_id`; one whose rows stand in several places fails as a whole.
    Its row is its number within the file. Items stand in the order of their positions. Columns that are not the
    format's belong to the items, those of a metadata row (position −1) to the sample. Bytes that a row does not
    hold are looked for by its `source_ref`, among the files of the source and below the folder `references`, and
    compared before use.
    """

    format: ClassVar[str] = "interleaved-parquet"
    version: ClassVar[int] = 1
    refines: ClassVar[str] = "parquet"
    addressable = False

    def __init__(
        self, source: Location, *, columns: dict[str, str] | None = None, references: str | None = None
    ) -> None:
        if columns:
            raise UsageError("the columns of interleaved Parquet have fixed names", fix="remove `columns:`")
        self.source = Source.of(source)
        self._table = ParquetReader(source)
        self._root = Location(references) if references else None
        self._references = References(self._root)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_references": References(self._root)}

    @classmethod
    def claims(cls, source: Source, file: FileStat) -> bool:
        """Whether the columns are there that every such table has."""
        try:
            with ParquetReader(source.locate(file)).opened(
                FileStat(file.path.rpartition("/")[2], file.size)
            ) as f:
                return set(REQUIRED) <= set(f.schema_arrow.names)
        except (ReadError, StorageError):
            return False

    def slices(self) -> Iterator[Slice]:
        """Ranges of whole documents, up to 512 or 256 MB."""
        for file in self.source.files():
            if self.source.names is None and not file.path.lower().endswith((".parquet", ".pq")):
                continue
            try:
                with self._opened(file) as opened:
                    yield from _cut(file, opened)
            except (ReadError, StorageError, pa.ArrowException, OSError):
                yield Slice((file,), samples=1, size_bytes=file.size)

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The documents of a slice; one that cannot be read is a sample with a `read` note."""
        file = part.files[0]
        try:
            with self._opened(file) as opened:
                yield from self._documents(part, opened, rows)
        except ReadError as error:
            yield failed_sample(file.path, file.path, part.first_row, error.reason, error.what)
        except (StorageError, OSError, pa.ArrowException) as error:
            yield failed_sample(file.path, file.path, part.first_row, "file not readable", str(error))

    def _opened(self, file: FileStat) -> pq.ParquetFile:
        opened = self._table.opened(file)
        names = opened.schema_arrow.names
        missing = next((name for name in REQUIRED if name not in names), None)
        if missing is not None:
            raise ReadError(f"column missing: {missing}", f"{file.path} has: {', '.join(names)}")
        return opened

    def _documents(
        self, part: Slice, opened: pq.ParquetFile, rows: Container[int] | None
    ) -> Iterator[Sample]:
        apart, reported = dict(part.apart), {mark for mark, here in part.apart if not here}
        number = 0
        for cells in _together(self._table.rows(part, opened)):
            first = cells[0]
            if isinstance(first, str):
                if rows is None or number in rows:
                    yield self._damaged(part, number, first)
                number += 1
                continue
            identity = _text(first, "sample_id")
            mark = key_hash(identity) if identity else 0
            if mark in apart:
                if mark in reported:
                    continue
                reported.add(mark)
            if rows is None or number in rows:
                yield self._sample(part, number, identity, cells, mark in apart)
            number += 1

    def _damaged(self, part: Slice, number: int, why: str) -> Sample:
        path, row = part.files[0].path, part.first_row + number
        return failed_sample(path, f"{path}/{row:08d}", row, "damaged Parquet data", f"{path}: {why}")

    def _sample(
        self, part: Slice, number: int, identity: str | None, cells: list[Any], apart: bool
    ) -> Sample:
        path, row = part.files[0].path, part.first_row + number
        key = identity or f"{path}/{row:08d}"
        try:
            if not identity:
                raise ReadError("null id", "`sample_id` is null or empty")
            if apart:
                raise ReadError("rows not adjacent", "rows of one `sample_id` stand in several places")
            if any(isinstance(cell, str) for cell in cells):
                raise ReadError("damaged Parquet data", next(c for c in cells if isinstance(c, str)))
            if len(cells) > MOST_ITEMS:
                raise ReadError("too many items", f"{len(cells):,}, more than {MOST_ITEMS:,}")
            return self._document(Origin(self.source.root, path, row), key, cells)
        except ReadError as error:
            return failed_sample(path, key, row, error.reason, f"{path}, {key!r}: {error.what}")
        except (ValueError, OverflowError, pa.ArrowException) as error:
            said = " ".join(str(error).split())[:200]
            return failed_sample(path, key, row, "value not readable", f"{path}, {key!r}: {said}")

    def _document(self, origin: Origin, key: str, cells: list[Cells]) -> Sample:
        build = DocumentBuilder()
        fields: Mapping[str, Any] = {}
        for cell in _in_order(cells):
            modality = _text(cell, "modality")
            if modality is None:
                raise ReadError("null modality", "an item says not what it is")
            if modality == "metadata":
                build.metadata(_text(cell, "content_type") or "", _text(cell, "text_content"))
                fields = fields or _fields(cell)
            else:
                self._item(build, modality, cell, origin)
        return build.sample(sample_id(origin.path, key, origin.row), key, fields)

    def _item(self, build: DocumentBuilder, modality: str, cell: Cells, origin: Origin) -> None:
        kind, own = _text(cell, "content_type") or "", _fields(cell)
        if modality not in _MODALITIES:
            own["modality"] = modality
            modality = "other"
        text, ref = _text(cell, "text_content"), _text(cell, "source_ref")
        data = _value(cell, "binary_content")
        if modality == "text" and data is None:
            if text is None:
                raise ReadError("text without content", "`text_content` is null")
            build.text(text, own, kind or "text/plain")
            return
        own |= {
            name: v for name in ("source_ref", "materialize_error") if (v := _text(cell, name)) is not None
        }
        media, trouble = self._media(data, ref, own, text, origin)
        build.medium(modality, kind, media, own, text=text, trouble=trouble)

    def _media(
        self, data: bytes | None, ref: str | None, own: Mapping[str, Any], text: str | None, origin: Origin
    ) -> tuple[Media | None, Trouble | None]:
        if data is not None:
            return Media(size=len(data), data=data, page=page_of(ref) or None), None
        if own.get("materialize_error") or text is not None:
            return None, None
        if ref is None:
            return None, None if own.get("url") else ("no bytes", "neither `binary_content` nor `source_ref`")
        try:
            parsed = SourceRef.parse(ref)
            if "://" in parsed.path:
                return None, None  # an address: fetched where a step asks for it
            return self._references.find(parsed, origin), None
        except ReadError as error:
            return None, (error.reason, error.what)


def _in_order(cells: list[Cells]) -> list[Cells]:
    placed = [(_value(cell, "position"), cell) for cell in cells]
    if any(position is None for position, _ in placed):
        raise ReadError("null position", "an item says not where it stands")
    content = [p for p, cell in placed if _text(cell, "modality") != "metadata"]
    if len(set(content)) < len(content):
        raise ReadError("duplicate position", "two items stand at one place")
    return [cell for _, cell in sorted(placed, key=lambda each: each[0])]


def _value(cell: Cells, name: str) -> Any:
    rows, k = cell
    if name == "binary_content":
        return None if rows.bytes is None else rows.bytes[k].as_py()
    column = rows.columns.get(name)
    return None if column is None else column[k]


def _text(cell: Cells, name: str) -> str | None:
    found = _value(cell, name)
    return found if found is None or isinstance(found, str) else str(found)


def _fields(cell: Cells) -> Fields:
    """What the row has beside the format's columns; what fitted no column of ours comes back to its own names."""
    rows, k = cell
    values = {name: v for name in rows.types if (v := rows.columns[name][k]) is not None}
    left = leftover_fields(rows.columns[FIELDS_COLUMN][k]) if FIELDS_COLUMN in rows.columns else {}
    return Fields(values | left, rows.types)


def _together(rows: Iterator[tuple[int, pa.RecordBatch | str, int]]) -> Iterator[list[Any]]:
    """The cells of each run of rows with one id; rows that are lost are the reason why, each alone."""
    run: list[Any] = []
    current: object = None
    source, shown = None, None
    for _, batch, k in rows:
        if isinstance(batch, str):
            cell: Any = batch
        else:
            if shown is None or batch is not source:
                source, shown = batch, _Rows(batch)
            cell = (shown, k)
        identity = object() if isinstance(cell, str) else _text(cell, "sample_id")
        if run and identity != current:
            yield run
            run = []
        run.append(cell)
        current = identity
    if run:
        yield run


def _runs(opened: pq.ParquetFile) -> Iterator[_Run]:
    start, row, current = 0, 0, None
    for batch in opened.iter_batches(1 << 16, columns=["sample_id"], use_threads=False):
        ids = batch.column(0)
        plain = ids.dictionary_decode() if pa.types.is_dictionary(ids.type) else ids
        for at in _changes(plain):
            identity = plain[at].as_py()
            if row + at and (at or identity != current):
                yield _Run(start, row + at, key_hash(str(current)) if current else 0)
                start = row + at
            current = identity
        row += len(plain)
    if row:
        yield _Run(start, row, key_hash(str(current)) if current else 0)


def _changes(ids: pa.Array) -> list[int]:
    """Where another id than that of the row before begins, the first row among them."""
    if len(ids) < 2:
        return list(range(len(ids)))
    before, after = ids.slice(0, len(ids) - 1), ids.slice(1)
    same = pc.or_(
        pc.fill_null(pc.equal(before, after), False), pc.and_(pc.is_null(before), pc.is_null(after))
    )
    found: NDArray[Any] = pc.indices_nonzero(pc.invert(same)).to_numpy()
    return [0, *(found + 1).tolist()]


def _cut(file: FileStat, opened: pq.ParquetFile) -> Iterator[Slice]:
    runs = list(_runs(opened))
    places: dict[int, int] = {}
    for number, run in enumerate(runs):
        if run.mark:
            places.setdefault(run.mark, number)
    later = {n for n, run in enumerate(runs) if run.mark and places[run.mark] != n}
    repeated = {runs[n].mark for n in later}
    groups = row_groups(opened.metadata)
    each = sum(size for _, size in groups) / max(1, sum(count for count, _ in groups))
    first, row = 0, 0
    for n, run in enumerate(runs):
        full = n + 1 - first >= SLICE_SAMPLES or (run.stop - runs[first].start) * each >= SLICE_BYTES
        if full or n + 1 == len(runs):
            inside = range(first, n + 1)
            marks = sorted({runs[k].mark for k in inside} & repeated)
            apart = tuple((mark, places[mark] in inside) for mark in marks)
            count = sum(k not in later for k in inside)
            rows = run.stop - runs[first].start
            yield Slice((file,), runs[first].start, run.stop, row, count, int(rows * each), apart)
            first, row = n + 1, row + count
