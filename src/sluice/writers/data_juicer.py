"""Writes documents as Data-Juicer reads them: a text with tokens where media stand, and the media as lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from sluice.errors import ReadError
from sluice.sample import Sample
from sluice.sample.markers import END_OF_CHUNK, TOKENS, count
from sluice.storage import Location
from sluice.writers.bodies import Body, Intake
from sluice.writers.columns import check_embeddings, json_rows, measures
from sluice.writers.files import hashed
from sluice.writers.media_files import MediaFiles, content, further_keys, json_bytes, text_of
from sluice.writers.protocol import ShardResult

_TOKEN = {modality: token for token, modality in TOKENS.items()}
_OURS = ("id", "text", *(f"{modality}s" for modality in _TOKEN))


class DataJuicerWriter:
    """`00000.jsonl`: an object a sample, its media as files below `media/00000/`.

    `id`, `text` with a token where a medium stands and `<|__dj__eoc|>` where a chunk ends (items with the same
    field `chunk`), `images`, `videos`, `audios` (paths, or addresses of what is only referred to). Texts next to
    each other that are in no chunk stand on lines of their own. The sample's fields and measures are further keys;
    other fields of single items have no place here.
    """

    format: ClassVar[str] = "data-juicer"
    version: ClassVar[int] = 1

    def __init__(self, output: Location, *, embeddings: str = "none") -> None:
        self.output = output
        self.embeddings = check_embeddings(embeddings)

    def write_shard(
        self, index: int, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Write shard `index`: the media first, then the file that names them."""
        intake, refused, written = Intake(referred=True), {}, 0
        rows = json_rows(measures(fields, self.embeddings))
        media = MediaFiles(self.output, f"media/{index:05d}")
        name = f"{index:05d}.jsonl"
        with hashed(self.output / name) as file:
            for position, sample, found in intake(samples):
                try:
                    value = _object(sample, found, rows[position] if rows is not None else {}, media)
                except ReadError as error:
                    refused[position] = error.reason
                    continue
                file.write(json_bytes(value) + b"\n")
                written += 1
        return ShardResult((*media.files, file.done(name)), written, intake.failed | refused)


def _object(
    sample: Sample, found: Sequence[Body], measured: Mapping[str, Any], media: MediaFiles
) -> dict[str, Any]:
    items = content(found)
    value: dict[str, Any] = {"id": sample.key, "text": _text(items)}
    for place, body in enumerate(items):
        if body.item.modality != "text":
            value.setdefault(f"{body.item.modality}s", []).append(media.address(sample, place, body))
    return value | further_keys(sample, found, measured, _OURS)


def _text(items: Sequence[Body]) -> str:
    """The whole text. `ReadError` where a text looks like a token: it would be read as one."""
    pieces: list[str] = []
    media = ends = 0
    loose = False  # whether the item before is a text in no chunk
    for k, body in enumerate(items):
        chunk = body.item.fields.get("chunk")
        if body.item.modality != "text":
            pieces.append(_TOKEN[body.item.modality])
            media += 1
        else:
            pieces.append("\n" if loose and chunk is None else "")
            pieces.append(text_of(body))
        loose = body.item.modality == "text" and chunk is None
        ended = k + 1 == len(items) or items[k + 1].item.fields.get("chunk") != chunk
        if chunk is not None and ended:
            pieces.append(END_OF_CHUNK)
            ends += 1
    text = "".join(pieces)
    if count(text, TOKENS) != media or text.count(END_OF_CHUNK) != ends:
        raise ReadError("text contains a token", f"one of {', '.join(TOKENS)}, {END_OF_CHUNK}")
    return text
