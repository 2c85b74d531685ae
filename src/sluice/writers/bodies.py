"""The bytes of a sample's items, read once and verified, and the account of samples that have none any more."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import xxhash

from sluice.codec import tiff_page
from sluice.errors import ReadError, SampleError, StorageError
from sluice.sample import MEDIA_MODALITIES, Item, Media, Sample
from sluice.sample.fields import plain
from sluice.sample.members import default_name, extension_for
from sluice.storage import locate

FIELDS_KEY = "sluice"
"""The key under which our fields stand in a sample's JSON."""


@dataclass(frozen=True, slots=True)
class Body:
    """One item about to be written: its unique name within the sample, its bytes, their xxh3-128."""

    item: Item
    name: str
    data: bytes
    hash: str


class Intake:
    """Takes samples in, in order; keeps what a table beside them needs and why samples were left out.

    `most_bytes` is what one item may have in the format; `referred` says that the format can hold items that
    are only referred to, and `pages` that it can name a page of a TIFF (elsewhere a page is written alone).
    """

    def __init__(self, most_bytes: int | None = None, *, referred: bool = False, pages: bool = False) -> None:
        self._most_bytes, self._referred, self._pages = most_bytes, referred, pages
        self.failed: dict[int, str] = {}
        self.kept: list[int] = []
        self.ids: list[str] = []
        self.keys: list[str] = []
        self.fields: list[Mapping[str, Any]] = []
        self.bodies: list[list[tuple[str, str]]] = []
        self._seen: set[str] = set()

    def __call__(self, samples: Iterable[Sample | None]) -> Iterator[tuple[int, Sample, list[Body]]]:
        """Position, sample and bodies of every sample that can be written."""
        for position, sample in enumerate(samples):
            try:
                found = self._take(sample)
            except ReadError as error:
                self.failed[position] = error.reason
                continue
            if sample is not None:
                self._note(position, sample, found)
                yield position, sample, found

    def _take(self, sample: Sample | None) -> list[Body]:
        if sample is None:
            raise ReadError("could not be read again")
        for note in sample.notes:
            if note.kind == "read":
                raise ReadError(note.reason, note.detail)
        if sample.key in self._seen:
            # Two samples of one key would be read as one.
            raise ReadError("duplicate key in the output")
        if not sample.items and not sample.fields:
            raise ReadError("nothing to write")
        found = bodies(sample, referred=self._referred, pages=self._pages)
        if self._most_bytes is not None and any(len(b.data) > self._most_bytes for b in found):
            raise ReadError("too large for this format")
        return found

    def _note(self, position: int, sample: Sample, found: list[Body]) -> None:
        self._seen.add(sample.key)
        self.kept.append(position)
        self.ids.append(sample.id)
        self.keys.append(sample.key)
        self.fields.append(sample.fields)
        self.bodies.append([(body.name, body.hash) for body in found])


def bodies(sample: Sample, *, referred: bool = False, pages: bool = False) -> list[Body]:
    """The bytes of all items in order. `ReadError` where one is gone, has changed, or is a cut of its file.

    With `referred` an item that is only referred to has no bytes, and its hash is ""; see `Intake`.
    """
    taken: set[str] = set()
    found = []
    together = _together(sample)
    for index, item in enumerate(sample.items):
        data = together.get(index)
        if data is None and referred and is_referred(item):
            found.append(Body(item, _unique(body_name(item), taken), b"", ""))
            continue
        if data is None:
            data = _data(sample, index, item)
        digest = xxhash.xxh3_128_hexdigest(data)
        if item.hash is not None and item.hash != digest:
            raise ReadError("changed since it was measured", f"item {item.name!r} of {sample.key!r}")
        if item.media is not None and item.media.page is not None and not pages:
            data = _page(item.media.page, data)
            digest = xxhash.xxh3_128_hexdigest(data)
        found.append(Body(item, _unique(body_name(item), taken), data, digest))
    return found


def with_fields(found: list[Body], fields: Mapping[str, Any]) -> list[Body]:
    """The bodies with `fields` under our key in the sample's JSON, which is made where there is none.

    JSON that is no object is left as it is; our fields then stand in a member of their own.
    """
    alone = {FIELDS_KEY: fields}
    for k, body in enumerate(found):
        if body.name != "json":
            continue
        try:
            known = json.loads(body.data)
        except (ValueError, RecursionError):
            known = None
        if not isinstance(known, dict):
            return [*found, _json_body(f"{FIELDS_KEY}.json", alone)]
        return [*found[:k], _json_body("json", {**known, **alone}), *found[k + 1 :]]
    return [*found, _json_body("json", alone)]


def _json_body(name: str, value: Mapping[str, Any]) -> Body:
    try:
        data = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which the source had as an escape
        data = json.dumps(value).encode()
    return Body(Item("metadata", "application/json", name), name, data, xxhash.xxh3_128_hexdigest(data))


def is_referred(item: Item) -> bool:
    """Whether all there is of an item is where its medium could be had, or why it could not be."""
    named = any(item.fields.get(name) for name in ("url", "source_ref", "materialize_error"))
    return item.media is None and item.text is None and named


def _page(page: int, data: bytes) -> bytes:
    try:
        return tiff_page(data, page)
    except SampleError as error:
        raise ReadError(error.reason, error.what) from error


def _together(sample: Sample) -> dict[int, bytes]:
    """The bytes of items that lie in one file (a tar), fetched at once; what cannot be is left to `_data`."""
    places: dict[str, list[tuple[int, tuple[int, int]]]] = {}
    for index, item in enumerate(sample.items):
        media = item.media
        if media is None or media.data is not None or _is_cut(media) or not media.uri:
            continue
        if media.offset is not None and media.size is not None:
            places.setdefault(media.uri, []).append((index, (media.offset, media.size)))
    found: dict[int, bytes] = {}
    for uri, ranges in places.items():
        if len(ranges) > 1:
            with suppress(StorageError):  # read one by one, the item in question is the one to be named
                parts = locate(uri).read_ranges([r for _, r in ranges])
                found |= {index: part for (index, _), part in zip(ranges, parts, strict=True)}
    return found


def _is_cut(media: Media) -> bool:
    return media.start_s is not None or media.end_s is not None or media.crop is not None


def _data(sample: Sample, index: int, item: Item) -> bytes:
    media = item.media
    if media is None:
        if item.text is not None:
            return item.text.encode("utf-8", "surrogatepass")
        if item.modality == "metadata":  # without contents of its own it stands for the sample's fields
            return json.dumps(dict(item.fields or sample.fields), ensure_ascii=False, default=plain).encode()
        note = next((n for n in sample.notes if n.item == index), None)
        raise ReadError(note.reason if note else "no bytes", f"item {item.name!r} of {sample.key!r}")
    if _is_cut(media):
        raise ReadError("a cut cannot be copied", f"item {item.name!r} of {sample.key!r}")
    try:
        data = media.read()
    except StorageError as error:
        raise ReadError("bytes not readable", str(error)) from error
    if media.size is not None and len(data) != media.size:
        raise ReadError("changed since it was read", f"item {item.name!r} of {sample.key!r}")
    return data


def body_name(item: Item) -> str:
    """What an item is called beside the others of its sample, if none before it has that name."""
    # Something without extension stays so (README), unless it only lost it by having its dot in the key.
    if item.name or item.modality == "other":
        return item.name
    return default_name(replace(item, name="")) if item.modality not in MEDIA_MODALITIES else ""


def _unique(name: str, taken: set[str]) -> str:
    unique, n = name, 0
    while unique in taken:
        n += 1
        unique = f"{n}.{name}" if name else str(n)
    taken.add(unique)
    return unique


def typed_name(body: Body) -> str:
    """The body's name, with the extension of its type where it has none (tars need one)."""
    return body.name or extension_for(body.item.content_type)
