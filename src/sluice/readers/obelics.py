"""Reads interleaved documents as OBELICS has them: a row a document, its texts and images as parallel lists."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from sluice.errors import ReadError, StorageError, UsageError
from sluice.readers.document_json import DocumentSettings, Place, document_lists
from sluice.readers.documents import DocumentBuilder
from sluice.readers.jsonl import json_object
from sluice.readers.named_media import NamedMedia, address_of
from sluice.readers.notes import failed_sample
from sluice.readers.parquet import ParquetReader
from sluice.readers.protocol import FileStat, Slice
from sluice.readers.source import Source
from sluice.readers.table import Origin, row_key
from sluice.sample import Media, Sample, sample_id
from sluice.sample.fields import Fields
from sluice.sample.members import FIELDS_COLUMN, leftover_fields, member_type, sniff_extension
from sluice.storage import Location

_OWN = ("sample_id", "texts", "images", "metadata", "general_metadata")
"""The columns of the format; all others pass through with their types."""

_SETTINGS = DocumentSettings()


class ObelicsReader:
    """Parquet with the list columns `texts` and `images`, null where the other one stands.

    An image is a string (an address on the web stays a reference, a path is a file beside the table), the bytes,
    or {bytes, path}. `metadata`, a list or one in JSON, has an entry an image, or one a place: `alt_text` is the
    item's field `alt`, all else fields of their own names. `general_metadata`, an object in JSON, and all other
    columns are the sample's fields. A document's id is its `sample_id` where the table has such a column.
    """

    format: ClassVar[str] = "obelics"
    version: ClassVar[int] = 1
    refines: ClassVar[str] = "parquet"
    addressable = False

    def __init__(
        self,
        source: Location,
        *,
        columns: dict[str, str] | None = None,
        media_root: str = "",
        strip_prefix: str = "",
    ) -> None:
        if columns:
            raise UsageError("the columns of OBELICS have fixed names", fix="remove `columns:`")
        self.source = Source.of(source)
        self.media = NamedMedia(media_root, strip_prefix)
        self._table = ParquetReader(source)

    @classmethod
    def claims(cls, source: Source, file: FileStat) -> bool:
        """Whether the two lists are there, and in the first row that has any one stands where the other does not."""
        try:
            name = FileStat(file.path.rpartition("/")[2], file.size)
            with ParquetReader(source.locate(file)).opened(name) as opened:
                if not _has_lists(opened.schema_arrow):
                    return False
                for batch in opened.iter_batches(1, columns=["texts", "images"], use_threads=False):
                    texts, images = (batch.column(name)[0] for name in ("texts", "images"))
                    if texts.is_valid and images.is_valid and (len(texts) or len(images)):
                        pairs = zip(texts, images, strict=False)
                        return len(texts) == len(images) and all(t.is_valid != i.is_valid for t, i in pairs)
        except (ReadError, StorageError, pa.ArrowException, OSError):
            pass
        return False

    def slices(self) -> Iterator[Slice]:
        """Row ranges of up to 1,000 rows or 256 MB."""
        return self._table.slices()

    def read(self, part: Slice, rows: Container[int] | None = None) -> Iterator[Sample]:
        """The documents of a slice; one that cannot be read is a sample with a `read` note."""
        file = part.files[0]
        try:
            with self._table.opened(file) as opened:
                missing = next((n for n in ("texts", "images") if n not in opened.schema_arrow.names), None)
                if missing is not None:
                    raise ReadError(f"column missing: {missing}", file.path)
                for row, batch, k in self._table.rows(part, opened):
                    if rows is None or row - part.start in rows:
                        yield self._sample(file.path, row, batch, k)
        except ReadError as error:
            yield failed_sample(file.path, file.path, part.first_row, error.reason, error.what)
        except (StorageError, OSError, pa.ArrowException) as error:
            yield failed_sample(file.path, file.path, part.first_row, "file not readable", str(error))

    def _sample(self, path: str, row: int, batch: pa.RecordBatch | str, k: int) -> Sample:
        key = row_key(path, row)
        if isinstance(batch, str):
            return failed_sample(path, key, row, "damaged Parquet data", f"{path}, row {row}: {batch}")
        try:
            cells = {f.name: batch.column(at)[k].as_py() for at, f in enumerate(batch.schema)}
            types = {f.name: f.type for f in batch.schema if f.name not in (*_OWN, FIELDS_COLUMN)}
            return self._document(cells, types, Origin(self.source.root, path, row))
        except ReadError as error:
            return failed_sample(path, key, row, error.reason, f"{path}, row {row}: {error.what}")
        except (ValueError, OverflowError, pa.ArrowException) as error:
            said = " ".join(str(error).split())[:200]
            return failed_sample(path, key, row, "value not readable", f"{path}, row {row}: {said}")

    def _document(self, cells: Mapping[str, Any], types: Mapping[str, pa.DataType], origin: Origin) -> Sample:
        lists = {name: cells[name] for name in ("sample_id", "texts", "images") if name in cells}
        found = document_lists(lists, origin.fallback_key, _SETTINGS, names_only=False)
        told = _of_places(_entries(cells.get("metadata")), found.places, cells)
        build = DocumentBuilder()
        build.metadata()
        for place, entry in zip(found.places, told, strict=True):
            own = _fields(entry)
            if place.text is not None:
                build.text(place.text, own)
            else:
                self._image(build, place.image, own, origin)
        return build.sample(
            sample_id(origin.path, found.id, origin.row), found.id, _sample_fields(cells, types)
        )

    def _image(self, build: DocumentBuilder, image: Any, own: dict[str, Any], origin: Origin) -> None:
        data = image.get("bytes") if isinstance(image, dict) else image
        if not isinstance(data, bytes):
            address, _ = address_of(image, "images")
            self.media.add(build, "image", address, origin, own)
            return
        path = str(image.get("path") or "") if isinstance(image, dict) else ""
        if path.startswith(("http://", "https://")):
            own, path = {"url": path, **own}, path.partition("#")[0].partition("?")[0]
        named = path.rpartition("/")[2].rpartition(".")[2].lower()
        extension = named if member_type(f".{named}")[0] == "image" else sniff_extension(data)
        modality, mime = member_type(f".{extension}")
        known = (mime, extension) if modality == "image" else ("", "bin")
        build.medium("image", known[0], Media(size=len(data), data=data), own, extension=known[1])


def _has_lists(schema: pa.Schema) -> bool:
    if not {"texts", "images"} <= set(schema.names):
        return False
    texts, images = (schema.field(name).type for name in ("texts", "images"))
    if not (_is_list(texts) and _is_list(images)):
        return False
    return bool(pa.types.is_string(texts.value_type) or pa.types.is_large_string(texts.value_type))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _entries(value: Any) -> list[Any] | None:
    """What `metadata` says of each image, or place."""
    if isinstance(value, str):
        value = json_object(f'{{"entries": {value}}}'.encode("utf-8", "surrogatepass"))["entries"]
    if value is not None and not isinstance(value, list):
        raise ReadError("metadata of another type", f"`metadata` is a {type(value).__name__}")
    return value


def _of_places(entries: list[Any] | None, places: Sequence[Place], cells: Mapping[str, Any]) -> Iterator[Any]:
    """The entry of each item. Entries are one a place of the lists, or one an image."""
    if entries is None:
        return iter([None] * len(places))
    texts, images = cells.get("texts") or [], cells.get("images") or []
    size = max(len(texts), len(images))
    if len(entries) == size:
        both = zip(texts or [None] * size, images or [None] * size, entries, strict=True)
        return iter([entry for text, image, entry in both for there in ((text, image)) if there is not None])
    count = sum(place.text is None for place in places)
    if len(entries) != count:
        raise ReadError("lists of unequal length", f"`metadata` has {len(entries)} for {count} images")
    waiting = iter(entries)
    return iter([next(waiting) if place.text is None else None for place in places])


def _fields(entry: Any) -> dict[str, Any]:
    if entry is None:
        return {}
    if not isinstance(entry, dict):
        return {"metadata": entry}
    return {("alt" if n == "alt_text" and "alt" not in entry else n): v for n, v in entry.items()}


def _sample_fields(cells: Mapping[str, Any], types: Mapping[str, pa.DataType]) -> Fields:
    """What stands in other columns, and what `general_metadata` says; of one name the latter is `source_…`."""
    own = {name: cells[name] for name in types if cells[name] is not None}
    own |= leftover_fields(cells.get(FIELDS_COLUMN))
    text = cells.get("general_metadata")
    general = text if isinstance(text, dict) else {}
    if isinstance(text, str):
        general = json_object(text.encode("utf-8", "surrogatepass"))
    return Fields({(f"source_{n}" if n in types else n): v for n, v in general.items()} | own, types)
