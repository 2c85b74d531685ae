"""Files beside a text that names them, and the further keys of an object: what chats and token documents share."""

from __future__ import annotations

import json
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import xxhash

from sluice.errors import ReadError
from sluice.sample import MEDIA_MODALITIES, Sample
from sluice.sample.fields import json_value
from sluice.sample.members import default_name
from sluice.storage import Location
from sluice.writers.bodies import Body
from sluice.writers.files import put
from sluice.writers.folder import file_path
from sluice.writers.protocol import ShardFile

_LONGEST_NAME = 200  # bytes; file systems take 255


@dataclass(slots=True)
class MediaFiles:
    """The media of one shard, written as `folder/{key}.{place}.{ext}`."""

    output: Location
    folder: str
    files: list[ShardFile] = field(default_factory=list)

    def address(self, sample: Sample, place: int, body: Body) -> str:
        """Write the medium, and return its path; of one that is only referred to, its address.

        A key that makes no file name is replaced by its xxh3-128.
        """
        if body.item.media is None:
            return str(body.item.fields["url"])
        extension = default_name(body.item).rpartition(".")[2] or "bin"
        name = f"{place}.{extension}"
        path = file_path(sample.key, name)
        if path != f"{sample.key}.{name}" or max(len(s.encode()) for s in path.split("/")) > _LONGEST_NAME:
            path = f"{xxhash.xxh3_128_hexdigest(sample.key.encode('utf-8', 'surrogatepass'))}.{name}"
        self.files.append(put(self.output, f"{self.folder}/{path}", body.data))
        return f"{self.folder}/{path}"


def content(found: Sequence[Body], media: Container[str] = MEDIA_MODALITIES) -> list[Body]:
    """The items that are read in order. `ReadError` for one that is neither text nor such a medium, or has no bytes."""
    items = [body for body in found if body.item.modality != "metadata"]
    strange = next((b for b in items if b.item.modality != "text" and b.item.modality not in media), None)
    if strange is not None:
        raise ReadError("an item that the format cannot hold", f"{strange.name!r} is {strange.item.modality}")
    lost = next((b for b in items if b.item.modality != "text" and not _is_there(b)), None)
    if lost is not None:
        raise ReadError("no bytes", f"item {lost.item.name!r} has neither bytes nor an address")
    return items


def _is_there(body: Body) -> bool:
    return body.item.media is not None or isinstance(body.item.fields.get("url"), str)


def text_of(body: Body) -> str:
    """The text of an item. `ReadError` where it is not UTF-8."""
    try:
        return body.data.decode()
    except UnicodeDecodeError as error:
        raise ReadError("not UTF-8", f"item {body.name!r}: {error}") from error


def further_keys(
    sample: Sample, found: Sequence[Body], measured: Mapping[str, Any], ours: Collection[str]
) -> dict[str, Any]:
    """The sample's fields and measures as keys of an object; one whose name is taken is called `source_…`."""
    measures = {n: v for n, v in measured.items() if v is not None}
    known = {**own_metadata(found), **sample.fields}
    passed = free_names(known, {*ours, *measures}) | free_names(measures, ours)
    return {name: json_value(value) for name, value in passed.items()}


def free_names(fields: Mapping[str, Any], taken: Container[str]) -> dict[str, Any]:
    """The fields, one whose name is taken called `source_…`."""
    passed = {}
    for name, value in fields.items():
        free = name
        while free in taken or (free != name and free in fields):
            free = f"source_{free}"
        passed[free] = value
    return passed


def own_metadata(found: Sequence[Body]) -> dict[str, Any]:
    """What metadata items of their own hold: a `.json` beside a picture."""
    known: dict[str, Any] = {}
    for body in found:
        item = body.item
        if item.modality == "metadata":
            known |= item.fields
        if item.modality == "metadata" and (item.text is not None or item.media is not None):
            try:
                value = json.loads(body.data)
            except (ValueError, RecursionError):
                value = body.data.decode("utf-8", "replace")
            known |= value if isinstance(value, dict) else {"metadata": value}
    return known


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """One line of JSON in UTF-8."""
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which the source had as an escape
        return json.dumps(value).encode()
