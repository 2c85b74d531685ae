"""Writes interleaved documents as tars (MINT-1T's layout): a document's images, then the JSON that orders them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote

import pyarrow as pa

from sluice.codec import tiff_page
from sluice.errors import SampleError
from sluice.sample import Sample
from sluice.sample.fields import json_value
from sluice.sample.members import default_name
from sluice.storage import Location
from sluice.writers.bodies import FIELDS_KEY, Body, Intake
from sluice.writers.columns import beside, check_embeddings, json_rows, measures
from sluice.writers.files import hashed, put_table
from sluice.writers.protocol import ShardResult
from sluice.writers.tar import TarStream

_OWN = ("url", "source_ref", "materialize_error", "modality")
"""Fields of items that are no lists of the document: they say where an image is to be had."""


class InterleavedWebDatasetWriter:
    """`00000.tar`: per document `{id}.{place}.{ext}` for every medium, then `{id}.json`; `00000.parquet` beside it.

    The JSON holds `sample_id`, the parallel lists `texts` and `images` (null where the other stands, members by
    name), the sample's fields, and the items' fields as lists with one entry an image or text. Ids are
    percent-encoded in names, and read back from the JSON. An image that is only referred to is its address.
    Pages of one TIFF are one member, named once a page. `fields_in_json` puts the measures under `sluice` in the
    JSON; `parquet: false` leaves the table of measures out.
    """

    format: ClassVar[str] = "interleaved-webdataset"
    version: ClassVar[int] = 1

    def __init__(
        self,
        output: Location,
        *,
        fields_in_json: bool = False,
        parquet: bool = True,
        embeddings: str = "none",
    ) -> None:
        self.output = output
        self.fields_in_json, self.parquet = fields_in_json, parquet
        self.embeddings = check_embeddings(embeddings)

    def write_shard(
        self, index: int, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Write shard `index`; each file appears whole or not at all, the table after its tar."""
        intake, name = Intake(referred=True, pages=True), f"{index:05d}.tar"
        rows = json_rows(measures(fields, "none")) if self.fields_in_json else None
        with hashed(self.output / name) as file, TarStream(file) as tar:
            for position, sample, found in intake(samples):
                document = _laid_out(sample, found)
                for member, data in document.members:
                    tar.add(member, data)
                told = document.json | ({FIELDS_KEY: rows[position]} if rows is not None else {})
                tar.add(f"{quote(sample.key, safe='/ ')}.json", _bytes(told))
            tar.end()
        files = [file.done(name)]
        if self.parquet and fields is not None:
            extra = {"tar": pa.array([name] * len(intake.kept), pa.string())}
            files.append(
                put_table(
                    self.output,
                    f"{index:05d}.parquet",
                    beside(intake, measures(fields, self.embeddings), extra),
                )
            )
        return ShardResult(tuple(files), len(intake.kept), intake.failed)


@dataclass(slots=True)
class _Document:
    """What one document becomes: members to write, and the JSON that names them."""

    members: list[tuple[str, bytes]] = field(default_factory=list)
    json: dict[str, Any] = field(default_factory=dict)


def _laid_out(sample: Sample, found: Sequence[Body]) -> _Document:
    done = _Document()
    texts: list[str | None] = []
    images: list[str | None] = []
    own: dict[str, Any] = {}
    content = [body for body in found if body.item.modality != "metadata"]
    pages = _pages(content)
    stem = quote(sample.key, safe="/ ")
    for place, body in enumerate(content):
        text, image = None, None
        if body.item.modality == "text":
            text = body.data.decode("utf-8", "replace")
        elif body.item.media is None:
            image = _reference(body)
        else:
            image = _member(done, body, f"{stem}.{place}", pages)
        texts.append(text)
        images.append(image)
    for body in found:
        if body.item.modality == "metadata" and (body.item.text or body.item.media):
            own |= _parsed(body)
    passed = {n: json_value(v) for n, v in {**own, **sample.fields}.items()}
    reserved = {"sample_id": sample.key, "texts": texts, "images": images}
    lists = _lists([b for b in content if b.item.modality == "text"]) | _lists(
        [b for b in content if b.item.modality != "text"]
    )
    done.json = reserved | {n: v for n, v in (passed | lists).items() if n not in reserved}
    return done


def _pages(content: Sequence[Body]) -> dict[str, bool]:
    """By hash of a TIFF: whether its pages stand as a reader counts them, the k-th reference the k-th page."""
    seen: dict[str, list[int]] = {}
    for body in content:
        if body.item.media is not None and body.item.content_type == "image/tiff":
            seen.setdefault(body.hash, []).append(body.item.media.page or 0)
    return {digest: pages == list(range(len(pages))) for digest, pages in seen.items()}


def _member(done: _Document, body: Body, stem: str, pages: Mapping[str, bool]) -> str:
    """The member that holds a medium, which is written unless another page of it is already."""
    data = body.data
    if pages.get(body.hash):
        for known, other in done.members:
            if other == data:
                return known
    elif body.item.media is not None and body.item.media.page is not None:
        try:
            data = tiff_page(data, body.item.media.page)
        except SampleError:
            data = body.data
    extension = default_name(body.item).rpartition(".")[2]
    name = f"{stem}.{extension or 'bin'}"
    done.members.append((name, data))
    return name


def _reference(body: Body) -> str | None:
    fields = body.item.fields
    if fields.get("url"):
        return str(fields["url"])
    try:
        ref = json.loads(fields.get("source_ref") or "{}")
    except ValueError:
        ref = {}
    return ref.get("member") or ref.get("path") or body.name


def _lists(content: Sequence[Body]) -> dict[str, list[Any]]:
    """The fields of items as lists with one entry an item, null where it has none."""
    names = dict.fromkeys(name for body in content for name in body.item.fields if name not in _OWN)
    return {name: [json_value(body.item.fields.get(name)) for body in content] for name in names}


def _parsed(body: Body) -> dict[str, Any]:
    try:
        value = json.loads(body.data)
    except (ValueError, RecursionError):
        return {"metadata": body.data.decode("utf-8", "replace")}
    return value if isinstance(value, dict) else {"metadata": value}


def _bytes(value: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which the source had as an escape
        return json.dumps(value).encode()
