"""Writes chats about pictures as training code takes them: LLaVA's JSON, or ShareGPT's, media as files beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pyarrow as pa

from sluice.errors import ReadError
from sluice.sample import Sample
from sluice.sample.fields import json_value
from sluice.sample.markers import CHAT_MARKERS, count
from sluice.storage import Location
from sluice.writers.bodies import Body, Intake
from sluice.writers.columns import check_embeddings, json_rows, measures
from sluice.writers.files import hashed
from sluice.writers.media_files import MediaFiles, content, further_keys, json_bytes, text_of
from sluice.writers.protocol import ShardResult

Style = Literal["llava", "sharegpt"]

_MARKER = {modality: marker for marker, modality in CHAT_MARKERS.items()}
_NAMES = {
    "llava": ("conversations", "from", "value", {"user": "human", "assistant": "gpt"}),
    "sharegpt": ("messages", "role", "content", {"human": "user", "gpt": "assistant"}),
}
"""By style: the list, the keys of a turn, and what the sides of the other style are called."""


@dataclass(slots=True)
class _Turn:
    """What one side says: pieces of text and markers, and what its message held beside them."""

    role: str
    more: dict[str, Any] = field(default_factory=dict)
    pieces: list[str] = field(default_factory=list)
    media: int = 0

    def text(self) -> str:
        """The whole. `ReadError` where a text looks like a marker: it would be read as one."""
        value = "".join(self.pieces)
        if count(value, CHAT_MARKERS) != self.media:
            raise ReadError("text contains a marker", f"one of {', '.join(CHAT_MARKERS)}")
        return value


class LlavaWriter:
    """`00000.json`: one array, an object a sample, its media as files below `images/00000/`.

    `style: llava` writes `id`, `image` (a path, several as a list; `video` and `audio` alike) and `conversations`
    of {from, value}; `sharegpt` writes `id`, `images`, `videos`, `audios` and `messages` of {role, content}. The
    sides are called human and gpt, or user and assistant. Items with `role` and `turn` come out as those turns;
    of a document without, the last text is the answer, and what stands before and behind it the question. The
    sample's fields and measures are further keys; fields of single items other than these have no place here.
    """

    format: ClassVar[str] = "llava"
    version: ClassVar[int] = 1

    def __init__(self, output: Location, *, style: Style = "llava", embeddings: str = "none") -> None:
        self.output, self.style = output, style
        self.embeddings = check_embeddings(embeddings)

    def write_shard(
        self, index: int, samples: Iterable[Sample | None], fields: pa.Table | None
    ) -> ShardResult:
        """Write shard `index`: the media first, then the file that names them."""
        intake, refused, written = Intake(referred=True), {}, 0
        rows = json_rows(measures(fields, self.embeddings))
        media = MediaFiles(self.output, f"images/{index:05d}")
        name = f"{index:05d}.json"
        with hashed(self.output / name) as file:
            for position, sample, found in intake(samples):
                try:
                    value = self._object(sample, found, rows[position] if rows is not None else {}, media)
                except ReadError as error:
                    refused[position] = error.reason
                    continue
                file.write((b",\n" if written else b"[\n") + json_bytes(value))
                written += 1
            file.write(b"\n]\n" if written else b"[]\n")
        return ShardResult((*media.files, file.done(name)), written, intake.failed | refused)

    def _object(
        self, sample: Sample, found: Sequence[Body], measured: dict[str, Any], media: MediaFiles
    ) -> dict[str, Any]:
        turns, who, what, sides = _NAMES[self.style]
        items = content(found)
        said = [
            {**turn.more, who: sides.get(turn.role, turn.role), what: turn.text()} for turn in _turns(items)
        ]
        value: dict[str, Any] = {"id": sample.key}
        for modality, paths in _named(sample, items, media).items():
            alone = self.style == "llava" and len(paths) == 1
            value[modality if self.style == "llava" else f"{modality}s"] = paths[0] if alone else paths
        value[turns] = said
        ours = {"id", "conversations", "messages", *_MARKER, *(f"{modality}s" for modality in _MARKER)}
        return value | further_keys(sample, found, measured, ours)


def _named(sample: Sample, items: Sequence[Body], media: MediaFiles) -> dict[str, list[str]]:
    """The paths of the media by modality, written on the way."""
    paths: dict[str, list[str]] = {}
    for place, body in enumerate(items):
        if body.item.modality != "text":
            paths.setdefault(body.item.modality, []).append(media.address(sample, place, body))
    return paths


def _turns(items: Sequence[Body]) -> list[_Turn]:
    return list(_spoken(items)) if any("role" in b.item.fields for b in items) else _question(items)


def _spoken(items: Sequence[Body]) -> Iterator[_Turn]:
    """The turns that the items' `role` and `turn` tell; what has none belongs to the turn before it."""
    turn, known = None, None
    for body in items:
        own = body.item.fields
        told = (own["role"], own.get("turn")) if "role" in own else known
        if turn is None or told != known:
            if turn is not None:
                yield turn
            turn, known = _Turn(str(own.get("role", "human")), _more(own.get("message"))), told
        _say(turn, body)
    if turn is not None:
        yield turn


def _question(items: Sequence[Body]) -> list[_Turn]:
    """The last text as the answer, all else as the question; texts next to each other on lines of their own."""
    last = next((k for k in reversed(range(len(items))) if items[k].item.modality == "text"), None)
    if last is None:
        raise ReadError("no text to be the answer", "only media")
    asked, answer = _Turn("human"), _Turn("gpt")
    _say(answer, items[last])
    before = ""
    for body in (*items[:last], *items[last + 1 :]):
        if before == body.item.modality == "text":
            asked.pieces.append("\n")
        _say(asked, body)
        before = body.item.modality
    return [asked, answer]


def _say(turn: _Turn, body: Body) -> None:
    if body.item.modality == "text":
        turn.pieces.append(text_of(body))
    else:
        turn.pieces.append(_MARKER[body.item.modality])
        turn.media += 1


def _more(value: Any) -> dict[str, Any]:
    return dict(json_value(value)) if isinstance(value, dict) else {}
