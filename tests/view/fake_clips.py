"""A run over clips made by hand: real videos, real DuckDB views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
from fake_run import _FATES

from sluice.sample import Item, Media
from sluice.view.source import Atom, FieldInfo, RuleInfo


@dataclass
class FakeClip:
    """One clip and what became of it."""

    source: str
    start_s: float
    end_s: float
    fate: str = "kept"
    rule: str | None = None
    data: bytes = b"no video"
    text: str = ""
    start_kind: str = "cut"
    end_kind: str = "cut"
    duplicate_of: int | None = None
    source_duration_s: float | None = None
    source_hash: str = ""


class ClipRun:
    """Serves a report of clips from memory; `levels` say what became of their sources."""

    name, lock_text = "clips", "sluice: 0.1.0\n"
    fields = {"sharpness": FieldInfo("", "sharper")}  # noqa: RUF012
    rules = (
        RuleInfo("blurred", "sharpness >= 10", (Atom("sharpness", ">=", 10.0, "margin_0"),), ("sharpness",)),
        RuleInfo("seen", "dedup by clip_embedding, similarity 0.9"),
    )

    def __init__(self, clips: Sequence[FakeClip], levels: Sequence[dict[str, Any]] = ()) -> None:
        self.clips = clips
        fates = ("kept", "dropped", "duplicate", "failed")
        self.summary: dict[str, Any] = {"read": len(clips), "failures": {}, "levels": list(levels)}
        self.summary |= {fate: sum(c.fate == fate for c in clips) for fate in fates}
        self._connection = duckdb.connect()
        self._connection.register("samples", pa.Table.from_pylist([_row(k, c) for k, c in enumerate(clips)]))
        rows = [
            {"ordinal": k, "fate": c.fate, "rule": c.rule, "reason": None, "failing": [], "margin_0": _margin(c),
             "duplicate_of": c.duplicate_of, "similarity": 0.95 if c.duplicate_of is not None else None}
            for k, c in enumerate(clips)
        ]  # fmt: skip
        self._connection.register("fates", pa.Table.from_pylist(rows, schema=_FATES))
        parents = [{"ordinal": 0, "key": "tiny <b>", "fate": "childless", "reason": "no clips"}]
        self._connection.register("parents", pa.Table.from_pylist(parents))

    def query(self, sql: str, *params: Any) -> pa.Table:
        return self._connection.sql(sql, params=list(params)).to_arrow_table()

    def picture(self, ordinal: int) -> bytes | None:
        return None

    def text(self, ordinal: int) -> str | None:
        return self.clips[ordinal].text or None

    def document(self, ordinal: int) -> tuple[Item, ...]:
        clip = self.clips[ordinal]
        media = Media(data=clip.data, start_s=clip.start_s, end_s=clip.end_s)
        return (
            Item("video", "video/mp4", "mp4", media=media),
            Item("text", name="caption_000.txt", text=clip.text),
        )


def _margin(clip: FakeClip) -> float:
    return -0.1 if clip.rule == "blurred" else 0.1


def _row(ordinal: int, clip: FakeClip) -> dict[str, Any]:
    return {
        "ordinal": ordinal, "id": f"{ordinal:032x}", "key": f"{clip.source}_{ordinal:04d}", "size_bytes": 1,
        "items": [{"modality": "video", "name": "mp4"}, {"modality": "text", "name": "caption_000.txt"}],
        "source_video": clip.source, "source_hash": clip.source_hash or clip.source, "clip_index": ordinal,
        "clip_start_s": clip.start_s, "clip_end_s": clip.end_s,
        "clip_start_kind": clip.start_kind, "clip_end_kind": clip.end_kind,
        "sharpness": 10.0 + _margin(clip),
        **({"source_duration_s": clip.source_duration_s} if clip.source_duration_s else {}),
    }  # fmt: skip
