"""Writes another version of clips' metadata, with other captions: `metas/v1/` beside `metas/v0/`, clips untouched."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import pyarrow as pa
import xxhash
from pydantic import Field

from sluice.errors import ReadError
from sluice.sample import Sample
from sluice.sample.fields import json_value
from sluice.storage import Location
from sluice.writers.bodies import FIELDS_KEY, bodies
from sluice.writers.clip_metadata import CAPTIONS, document, is_window, windows
from sluice.writers.columns import json_rows, measures
from sluice.writers.files import hashed, put
from sluice.writers.protocol import ShardFile, ShardResult

REPEATED = "repeated"
"""Why a caption that too many clips share is null."""

_FILES_AT_ONCE = 16
_SHARDS = "shards"


class ClipAnnotationsWriter:
    """`{id}.json` for each clip: the metadata that it came with, its caption windows anew. No video is read or written.

    The output is a folder `metas/{version}` of a tree of clips, whose metadata of another version the samples were
    read with. Measures are added to the `fields` under `sluice`. A caption that more than `max_repeats` clips have
    word for word says nothing of any of them: in its place stands null, and `reason` is `repeated`. As only all
    clips together tell, shards are written as `shards/{number}.jsonl` first, and the metadata at the end.
    """

    format: ClassVar[str] = "clip-annotations"
    version: ClassVar[int] = 1

    def __init__(self, output: Location, *, max_repeats: Annotated[int, Field(ge=1)] | None = 50) -> None:
        self.output, self.max_repeats = output, max_repeats

    def write_shard(
        self, index: int, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Write the metadata of the clips of a shard, a line each."""
        rows = json_rows(measures(fields, "none"))
        failed: dict[int, str] = {}
        written = 0
        path = f"{_SHARDS}/{index:05d}.jsonl"
        with hashed(self.output / path) as file:
            for position, sample in enumerate(samples):
                try:
                    told = _annotated(sample, rows[position] if rows else {})
                except ReadError as error:
                    failed[position] = error.reason
                    continue
                file.write(json.dumps(told).encode() + b"\n")
                written += 1
        return ShardResult((file.done(path),), written, failed)

    def finish(self, shards: Sequence[Mapping[str, Any]]) -> tuple[ShardFile, ...]:
        """The metadata of all clips. A hash of each caption is in memory, and one shard."""
        paths = [file["path"] for shard in shards for file in shard["files"]]
        repeated = self._repeated(paths)
        files: list[ShardFile] = []
        with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
            for path in paths:
                files += pool.map(lambda told: self._put(told, repeated), self._lines(path))
        return tuple(files)

    def _lines(self, path: str) -> Iterator[dict[str, Any]]:
        for line in (self.output / path).read().splitlines():
            yield json.loads(line)

    def _repeated(self, paths: Sequence[str]) -> frozenset[int]:
        """The captions that too many clips have, as hashes."""
        if self.max_repeats is None:
            return frozenset()
        found = Counter(each for path in paths for told in self._lines(path) for each in set(_hashes(told)))
        return frozenset(each for each, count in found.items() if count > self.max_repeats)

    def _put(self, told: dict[str, Any], repeated: frozenset[int]) -> ShardFile:
        for window, name in _captions(told):
            if _hash(window[name]) in repeated:
                window[name] = None
                _explain(window, name)
        told["has_caption"] = any(True for _ in _captions(told))
        return put(self.output, f"{told['span_uuid']}.json", document(told))


def _annotated(sample: Sample | None, row: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a clip with the caption windows that the sample has. `ReadError` where it came with none."""
    if sample is None:
        raise ReadError("could not be read again")
    for note in sample.notes:
        if note.kind == "read":
            raise ReadError(note.reason, note.detail)
    kept = tuple(item for item in sample.items if item.modality == "metadata")
    body = next((each for each in bodies(replace(sample, items=kept)) if each.name == "json"), None)
    try:
        known = json.loads(body.data) if body is not None else None
    except (ValueError, RecursionError) as error:
        raise ReadError("malformed JSON", str(error)) from error
    if not isinstance(known, dict):
        raise ReadError("no metadata", "annotations are of clips that have metadata")
    ours = _object(known.get(FIELDS_KEY))
    fields = _object(ours.get("fields"))
    said = windows([item for item in sample.items if is_window(item)])
    more = {"span_uuid": sample.key, "windows": said, "has_caption": bool(said)}
    told: dict[str, Any] = json_value({**known, **more, FIELDS_KEY: {**ours, "fields": {**fields, **row}}})
    return told


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _captions(told: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Each caption of a clip: its window, and the name that it has there."""
    for window in told["windows"]:
        for name, text in window.items():
            if name.endswith(CAPTIONS) and isinstance(text, str):
                yield window, name


def _hashes(told: Mapping[str, Any]) -> Iterator[int]:
    return (_hash(window[name]) for window, name in _captions(told))


def _hash(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))


def _explain(window: Mapping[str, Any], name: str) -> None:
    """Note why the caption of this name is null, where the window tells of its captions."""
    for each in window.get("captions", ()):
        model = each.get("model")
        if name == (f"{model}_{each.get('kind')}" if model else each.get("kind")):
            each["reason"] = REPEATED
