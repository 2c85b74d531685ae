"""Writes JSONL: text in the line, media as files beside it under relative paths."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar

import pyarrow as pa

from sluice.sample import Sample
from sluice.sample.fields import json_value
from sluice.storage import Location
from sluice.writers.bodies import Body, Intake
from sluice.writers.columns import check_embeddings, json_rows, measures, renamed
from sluice.writers.files import hashed, put
from sluice.writers.folder import file_path
from sluice.writers.inline import inline_text, is_plain
from sluice.writers.protocol import ShardFile, ShardResult

_LISTS = {"image": "images", "video": "videos", "audio": "audios"}
_OURS = {"id", "key", "text", "sidecars", "members", *_LISTS.values()}


class JsonlWriter:
    """`00000.jsonl`: one object a sample, its media as files below `media/00000/`.

    `key`, `text` (the first text in UTF-8), `images`, `videos`, `audios` (relative paths), `sidecars` (every
    other item: name, modality, content_type, path), `members` (all names in order), source fields, measures.
    """

    format: ClassVar[str] = "jsonl"
    version: ClassVar[int] = 1

    def __init__(self, output: Location, *, embeddings: str = "none") -> None:
        self.output = output
        self.embeddings = check_embeddings(embeddings)

    def write_shard(
        self, index: int, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Write shard `index`: the media first, then the file that names them."""
        intake = Intake()
        rows = json_rows(measures(fields, self.embeddings))
        files: list[ShardFile] = []
        name = f"{index:05d}.jsonl"
        with hashed(self.output / name) as file:
            for position, sample, found in intake(samples):
                line = self._media(f"media/{index:05d}", sample, found, files)
                measured = rows[position] if rows is not None else {}
                passed = renamed(sample.fields, _OURS | measured.keys())
                line |= {n: json_value(v) for n, v in (passed | measured).items() if v is not None}
                file.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        return ShardResult((*files, file.done(name)), len(intake.kept), intake.failed)

    def _media(
        self, folder: str, sample: Sample, found: list[Body], files: list[ShardFile]
    ) -> dict[str, Any]:
        """Write a sample's files; returns the part of its line that names them."""
        line: dict[str, Any] = {"key": sample.key}
        text = inline_text(found)
        if text is not None:
            line["text"] = text[1]
        sidecars = []
        for body in found:
            if text is not None and body is text[0]:
                continue
            path = f"{folder}/{file_path(sample.key, body.name)}"
            if path.lower().endswith((".jsonl", ".ndjson")):
                path += ".bin"  # it would be read as a table of samples
            files.append(put(self.output, path, body.data))
            modality = body.item.modality
            told = path.endswith(f"/{sample.key}.{body.name}")
            if told and modality in _LISTS and is_plain(sample.key, body, modality):
                line.setdefault(_LISTS[modality], []).append(path)
                continue
            entry = {"name": body.name, "modality": modality, "content_type": body.item.content_type}
            sidecars.append(entry | {"path": path})
        return line | {"sidecars": sidecars, "members": [b.name for b in found]}
