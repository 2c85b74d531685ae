"""Samples on Arrow: the form in which they are stored, sent and filtered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sluice.sample.fields import plain
from sluice.sample.media import Media
from sluice.sample.model import Item, Sample

ITEM_TYPE = pa.struct(
    [
        ("modality", pa.string()),
        ("content_type", pa.string()),
        ("name", pa.string()),
        ("text", pa.large_string()),
        ("uri", pa.string()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("crop", pa.list_(pa.int32(), 4)),
        ("page", pa.int32()),
        ("data", pa.large_binary()),
        ("hash", pa.string()),
        ("fields", pa.string()),
    ]
)
"""The Arrow type of one item; `fields` is JSON, `crop` is left, top, width, height."""

_RESERVED = ("id", "key", "parent", "items")


class Batch:
    """An Arrow record batch of samples: `id`, `key`, `parent`, `items` and passthrough columns.

    Item-level values are list columns *compact for one modality*: the k-th value of a row belongs to the
    row's k-th item of that modality. Their Arrow field carries the modality in its metadata; only
    `filter_items` removes items, and then from all of their columns.
    """

    def __init__(self, data: pa.RecordBatch) -> None:
        self.data = data

    def __len__(self) -> int:
        return int(self.data.num_rows)

    @classmethod
    def from_samples(cls, samples: Sequence[Sample], *, inline: bool = True, root: str = "") -> Batch:
        """Put samples on Arrow. `inline=False` leaves out contents in hand, texts and bytes (the views stay).

        `root` is cut off the front of uris. A passthrough column whose values are of several types becomes
        text: each value as JSON.
        """
        columns: dict[str, pa.Array] = {
            "id": pa.array([s.id for s in samples], pa.string()),
            "key": pa.array([s.key for s in samples], pa.string()),
            "parent": pa.array([s.parent for s in samples], pa.string()),
            "items": pa.array(
                [[_item_to_dict(item, inline, root) for item in s.items] for s in samples],
                pa.list_(ITEM_TYPE),
            ),
        }
        names = dict.fromkeys(name for s in samples for name in s.fields)
        for name in names:
            if name in _RESERVED:
                raise ValueError(f"a passthrough column may not be called {name!r}")
            columns[name] = _passthrough([s.fields.get(name) for s in samples])
        return cls(pa.RecordBatch.from_pydict(columns))

    def samples(self) -> Iterator[Sample]:
        """The samples, with passthrough columns as `fields` (item-level columns are not part of a sample)."""
        extra = [f.name for f in self.data.schema if f.name not in _RESERVED and _modality(f) is None]
        rows = self.data.select([*_RESERVED, *extra]).to_pylist()
        for row in rows:
            yield Sample(
                id=row["id"],
                key=row["key"],
                items=tuple(_item_from_dict(d) for d in row["items"]),
                fields={name: row[name] for name in extra if row[name] is not None},
                parent=row["parent"],
            )

    def counts(self, modality: str) -> pa.Array:
        """How many items of a modality each sample has (int64)."""
        return self._count_where(pc.equal(pc.struct_field(self._flat_items(), "modality"), modality))

    def with_item_column(self, name: str, values: pa.Array, modality: str) -> Batch:
        """Add an item-level column; its list lengths must equal `counts(modality)`."""
        self._refuse_misfit(name, values, modality)
        field = pa.field(name, values.type, metadata={b"sluice.modality": modality.encode()})
        return Batch(self.data.append_column(field, values))

    def filter_items(self, modality: str, keep: pa.Array) -> Batch:
        """Drop items of one modality from all rows, and their values from every column of that modality.

        `keep` is a list<bool> column compact for the modality; false and null drop the item.
        """
        self._refuse_misfit("keep", keep, modality)
        kept = pc.fill_null(keep.flatten(), False)
        flat = self._flat_items()
        of_modality = pc.equal(pc.struct_field(flat, "modality"), modality)
        mask = pc.replace_with_mask(pc.invert(of_modality), of_modality, kept)
        columns = []
        for field in self.data.schema:
            column = self.data.column(field.name)
            if field.name == "items":
                columns.append(_filter_lists(column, mask))
            elif _modality(field) == modality:
                columns.append(_filter_lists(column, kept))
            else:
                columns.append(column)
        return Batch(pa.RecordBatch.from_arrays(columns, schema=self.data.schema))

    def _refuse_misfit(self, name: str, values: pa.Array, modality: str) -> None:
        if not pc.list_value_length(values).equals(self.counts(modality).cast(pa.int32())):
            raise ValueError(f"{name}: list lengths differ from the number of {modality} items")

    def _flat_items(self) -> pa.Array:
        return self.data.column("items").flatten()

    def _count_where(self, mask: pa.Array) -> pa.Array:
        lists = pa.ListArray.from_arrays(
            _offsets(self.data.column("items")), mask.cast(pa.int64()), type=pa.list_(pa.int64())
        )
        return _list_sums(lists)


def _passthrough(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        as_text = [
            None if v is None else v if isinstance(v, str) else json.dumps(v, default=str) for v in values
        ]
        return pa.array(as_text, pa.string())


def _modality(field: pa.Field) -> str | None:
    value = (field.metadata or {}).get(b"sluice.modality")
    return value.decode() if value else None


def _offsets(lists: pa.Array) -> pa.Array:
    """Offsets of a list array into its flattened values (which skip nulls and slices)."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).cast(pa.int32())
    return pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])


def _list_sums(lists: pa.ListArray) -> pa.Array:
    totals = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lists.flatten())])
    ends = lists.offsets.slice(1)
    starts = lists.offsets.slice(0, len(lists))
    return pc.subtract(totals.take(ends), totals.take(starts))


def _filter_lists(lists: pa.Array, keep: pa.Array) -> pa.Array:
    counted = pa.ListArray.from_arrays(_offsets(lists), keep.cast(pa.int64()))
    lengths = _list_sums(counted).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    return pa.ListArray.from_arrays(offsets, lists.flatten().filter(keep), type=lists.type)


def _item_to_dict(item: Item, inline: bool, root: str) -> dict[str, Any]:
    media = item.media or _NO_MEDIA
    size = media.size
    if size is None and media.data is not None and not inline:
        size = len(media.data)
    return {
        "modality": item.modality,
        "content_type": item.content_type or None,
        "name": item.name or None,
        "text": item.text if inline else None,
        "uri": media.uri.removeprefix(root) or None,
        "offset": media.offset,
        "size": size,
        "start_s": media.start_s,
        "end_s": media.end_s,
        "crop": media.crop,
        "page": media.page,
        "data": media.data if inline else None,
        "hash": item.hash,
        "fields": _fields_json(item.fields) if item.fields else None,
    }


def _fields_json(fields: Mapping[str, Any]) -> str:
    """In the order that they have; what JSON cannot hold (dates, decimals) as text."""
    return json.dumps(dict(fields), ensure_ascii=False, default=plain)


_NO_MEDIA = Media()


def _item_from_dict(row: Mapping[str, Any]) -> Item:
    has_media = row["uri"] is not None or row["data"] is not None
    crop = row["crop"]
    media = Media(
        uri=row["uri"] or "",
        offset=row["offset"],
        size=row["size"],
        start_s=row["start_s"],
        end_s=row["end_s"],
        crop=(crop[0], crop[1], crop[2], crop[3]) if crop else None,
        page=row["page"],
        data=row["data"],
    )
    return Item(
        modality=row["modality"],
        content_type=row["content_type"] or "",
        name=row["name"] or "",
        text=row["text"],
        media=media if has_media else None,
        hash=row["hash"],
        fields=json.loads(row["fields"]) if row["fields"] else {},
    )
