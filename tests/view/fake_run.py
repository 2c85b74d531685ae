"""A run made by hand: real pictures, real DuckDB views, a few rules judged in plain Python."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import duckdb
import numpy as np
import pyarrow as pa
from PIL import Image

from sluice.codec.image import decode
from sluice.errors import SampleError
from sluice.sample import Item, Media
from sluice.view.source import Atom, FieldInfo, RuleInfo

HOSTILE_KEY = "a\"><script>document.title='owned'</script>'\u202egpj.exe"
HOSTILE_TEXT = '<img src=x onerror=alert(1)> & \u05e9\u05dc\u05d5\u05dd "quoted" \x00 \ud800'


def encoded(picture: Image.Image, kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    picture.save(out, format=kind)
    return out.getvalue()


def noise(seed: int, width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8))
    grain = Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
    return Image.blend(coarse.resize((width, height)), grain, 0.25)


RULES = (
    RuleInfo(
        "too small",
        "image_width_px >= 200 and image_height_px >= 200",
        (
            Atom("image_width_px", ">=", 200.0, "margin_0"),
            Atom("image_height_px", ">=", 200.0, "margin_1"),
        ),
    ),
    RuleInfo(
        "image_aspect_ratio between 1:3 and 3:1",
        "image_aspect_ratio between 1:3 and 3:1",
        (Atom("image_aspect_ratio", "between", 1 / 3, "margin_2", 3.0),),
    ),
    RuleInfo("blurred", "image_sharpness >= 100", (Atom("image_sharpness", ">=", 100.0, "margin_3"),)),
    RuleInfo("too bright", "image_exposure <= 200", (Atom("image_exposure", "<=", 200.0, "margin_4"),)),
    RuleInfo("format", "image_format in ('JPEG', 'PNG')", (Atom("image_format", "", None, None),)),
    RuleInfo("same picture", "dedup by image_dhash, distance 6"),
)
FIELDS = {
    "image_width_px": FieldInfo("px", "", "number", "Width of the picture."),
    "image_height_px": FieldInfo("px", "", "number", "Height of the picture."),
    "image_aspect_ratio": FieldInfo("ratio", "wider", "number", "Width over height."),
    "image_sharpness": FieldInfo("variance", "sharper", "number", "Variance of the Laplacian."),
    "image_exposure": FieldInfo("luma", "brighter", "number", "Mean luma."),
    "image_format": FieldInfo("", "", "text", "Format."),
}


@dataclass
class FakeRun:
    """Serves the report from memory."""

    pictures: list[tuple[str, bytes | None]]
    texts: Mapping[int, str] = field(default_factory=dict)
    name: str = "images"
    rules: tuple[RuleInfo, ...] = RULES
    lock_text: str = "sluice: 0.1.0\nrecipe:\n  name: images\n"
    fields: Mapping[str, FieldInfo] = field(default_factory=lambda: FIELDS)
    summary: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        samples = [_measured(i, key, data) for i, (key, data) in enumerate(self.pictures)]
        fates = _judged(samples)
        self._connection = duckdb.connect()
        sample_rows = [{k: v for k, v in s.items() if k not in ("reason", "dhash")} for s in samples]
        for row in sample_rows:
            items = self.document(row["ordinal"])
            row["items"] = [{"modality": item.modality, "name": item.name} for item in items]
        self._connection.register("samples", pa.Table.from_pylist(sample_rows))
        self._connection.register("fates", pa.Table.from_pylist(fates, schema=_FATES))
        self.summary = {**_summary(samples, fates), **self.summary}

    def query(self, sql: str, *params: Any) -> pa.Table:
        return self._connection.sql(sql, params=list(params)).to_arrow_table()

    def picture(self, ordinal: int) -> bytes | None:
        return self.pictures[ordinal][1]

    def text(self, ordinal: int) -> str | None:
        return self.texts.get(ordinal)

    def document(self, ordinal: int) -> tuple[Item, ...]:
        image = Item("image", name="jpg", media=Media(data=self.pictures[ordinal][1] or b""))
        return (image, Item("text", name="txt", text=self.texts.get(ordinal, "")))


_FATES = pa.schema(
    [
        ("ordinal", pa.int64()),
        ("fate", pa.string()),
        ("rule", pa.string()),
        ("failing", pa.list_(pa.string())),
    ]
    + [("reason", pa.string()), ("duplicate_of", pa.int64()), ("similarity", pa.float32())]
    + [(f"margin_{k}", pa.float64()) for k in range(5)]
)


def _measured(ordinal: int, key: str, data: bytes | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "ordinal": ordinal,
        "id": f"{ordinal:032x}",
        "key": key,
        "reason": None,
        "dhash": None,
    }
    row |= dict.fromkeys(FIELDS) | {"size_bytes": len(data or b"")}
    try:
        rgb = decode(data or b"")
    except SampleError as error:
        return row | {"reason": error.reason}
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    height, width = gray.shape
    small = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA).astype(int)
    kind = (
        "PNG"
        if (data or b"").startswith(b"\x89PNG")
        else "JPEG"
        if (data or b"")[:2] == b"\xff\xd8"
        else "other"
    )
    return row | {
        "image_width_px": width,
        "image_height_px": height,
        "image_aspect_ratio": width / height,
        "image_sharpness": float(cv2.Laplacian(gray, cv2.CV_64F).var()),
        "image_exposure": float(gray.mean()),
        "image_format": kind,
        "dhash": int("".join("01"[b] for b in (np.diff(small, axis=1) > 0).astype(int).flat), 2),
    }


def _margins(s: dict[str, Any]) -> list[float]:
    aspect = s["image_aspect_ratio"]
    return [
        (s["image_width_px"] - 200) / 150,
        (s["image_height_px"] - 200) / 150,
        min(aspect - 1 / 3, 3 - aspect) / 0.5,
        (s["image_sharpness"] - 100) / 400,
        (200 - s["image_exposure"]) / 60,
    ]


def _judged(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    fates, kept = [], []
    for s in samples:
        fate: dict[str, Any] = {"ordinal": s["ordinal"], "fate": "kept", "failing": [], "reason": s["reason"]}
        fates.append(fate)
        if s["reason"]:
            fate["fate"] = "failed"
            continue
        margins = _margins(s)
        fate |= {f"margin_{k}": m for k, m in enumerate(margins)}
        passed = [min(margins[:2]) >= 0, *(m >= 0 for m in margins[2:]), s["image_format"] != "other"]
        fate["failing"] = [rule.name for rule, ok in zip(RULES, passed, strict=False) if not ok]
        if fate["failing"]:
            fate |= {"fate": "dropped", "rule": fate["failing"][0]}
            continue
        near = [(bin(s["dhash"] ^ k["dhash"]).count("1"), k["ordinal"]) for k in kept]
        if near and min(near)[0] <= 6:
            distance, twin = min(near)
            fate |= {
                "fate": "duplicate",
                "rule": RULES[-1].name,
                "duplicate_of": twin,
                "similarity": distance,
            }
        else:
            kept.append(s)
    return fates


def _summary(samples: list[dict[str, Any]], fates: list[dict[str, Any]]) -> dict[str, Any]:
    counts = {
        name: sum(f["fate"] == name for f in fates) for name in ("kept", "dropped", "duplicate", "failed")
    }
    left, yields, by_rule = len(samples) - counts["failed"], [], {}
    for rule in RULES:
        first = sum(f.get("rule") == rule.name for f in fates)
        alone = sum(rule.name in f["failing"] for f in fates) if rule.atoms else first
        only = sum(f["failing"] == [rule.name] for f in fates) if rule.atoms else first
        left -= first
        by_rule[rule.name] = first
        yields.append({"name": rule.name, "rule": rule.text, "kept": left, "first_failing": first, "alone": alone,
                       "only_this": only, "null": 0})  # fmt: skip
    failures: dict[str, int] = {}
    for f in fates:
        if f["fate"] == "failed":
            failures[f["reason"]] = failures.get(f["reason"], 0) + 1
    return {
        "read": len(samples), **counts, "by_rule": by_rule, "failures": failures, "yields": yields,
        "output": "curated/", "run": "curated/run", "seconds": 3.21, "items_per_second": len(samples) / 3.21,
        "peak_rss_mb": 312.5,
        "steps": [{"name": "list", "seconds": 0.08, "items": len(samples)},
                  {"name": "measure", "seconds": 2.4, "items": len(samples)},
                  {"name": "select", "seconds": 0.12, "items": len(samples)},
                  {"name": "write", "seconds": 0.5, "items": counts["kept"]}],
        "cost": [{"operator": "image_sharpness", "seconds": 1.1}, {"operator": "image_exposure", "seconds": 0.3}],
    }  # fmt: skip


DOCUMENT_RULES = (
    RuleInfo("narrow", "image_width_px < 200", (), ("image_width_px",)),
    RuleInfo("terse", "text_word_count < 3", (), ("text_word_count",)),
    RuleInfo("few", "sample_text_count >= 2", (), ("sample_text_count",)),
    RuleInfo("all(image_width_px >= 100)", "all(image_width_px >= 100)", (), ("image_width_px",)),
    RuleInfo("seen before", "dedup by text_minhash, similarity 0.8"),
)
DOCUMENT_FIELDS = {
    "image_width_px": FieldInfo("px", "", "number", "Width of the picture.", "image"),
    "text_word_count": FieldInfo("words", "", "number", "Words.", "text"),
    "sample_text_count": FieldInfo("texts", "", "number", "Texts of a document."),
}


@dataclass
class FakeDocument:
    """One document and what became of it; `lost` are (item, rule, fate, reason)."""

    key: str
    items: tuple[Item, ...]
    fate: str = "kept"
    rule: str | None = None
    reason: str | None = None
    lost: tuple[tuple[int, str | None, str, str | None], ...] = ()
    duplicate_of: int | None = None


class DocumentRun:
    """Serves a report of documents from memory; without `told` its fates say nothing of items."""

    def __init__(self, documents: list[FakeDocument], *, told: bool = True) -> None:
        self.documents = documents
        self.name, self.lock_text = "documents", "sluice: 0.1.0\n"
        self.rules, self.fields = DOCUMENT_RULES, DOCUMENT_FIELDS
        self.summary: dict[str, Any] = {
            "read": len(documents),
            "failures": {},
            "by_rule": {},
            "output": "curated/",
        }
        fates = ("kept", "dropped", "duplicate", "failed")
        self.summary |= {fate: sum(d.fate == fate for d in documents) for fate in fates}
        self._connection = duckdb.connect()
        samples = [_document_row(k, d) for k, d in enumerate(documents)]
        schema = pa.schema(_DOCUMENT_COLUMNS)
        self._connection.register("samples", pa.Table.from_pylist(samples, schema))
        columns = _FATES.append(pa.field("items_dropped", _LOST)) if told else _FATES
        rows = [
            {"ordinal": k, "fate": d.fate, "rule": d.rule, "reason": d.reason, "duplicate_of": d.duplicate_of,
             "failing": [], "items_dropped": [dict(zip(_LOST_NAMES, each, strict=True)) for each in d.lost] or None}
            for k, d in enumerate(documents)
        ]  # fmt: skip
        self._connection.register("fates", pa.Table.from_pylist(rows, schema=columns))

    def query(self, sql: str, *params: Any) -> pa.Table:
        return self._connection.sql(sql, params=list(params)).to_arrow_table()

    def picture(self, ordinal: int) -> bytes | None:
        found = (i.media.read() for i in self.document(ordinal) if i.modality == "image" and i.media)
        return next(found, None)

    def text(self, ordinal: int) -> str | None:
        return next((i.text for i in self.document(ordinal) if i.modality == "text"), None)

    def document(self, ordinal: int) -> tuple[Item, ...]:
        return self.documents[ordinal].items


_LOST_NAMES = ("item", "rule", "fate", "reason")
_LOST = pa.list_(
    pa.struct([("item", pa.int32()), ("rule", pa.string()), ("fate", pa.string()), ("reason", pa.string())])
)
_DOCUMENT_COLUMNS = [
    ("ordinal", pa.int64()), ("id", pa.string()), ("key", pa.string()), ("size_bytes", pa.int64()),
    ("items", pa.list_(pa.struct([("modality", pa.string()), ("name", pa.string())]))),
    ("image_width_px", pa.list_(pa.int64())), ("text_word_count", pa.list_(pa.int64())),
    ("sample_text_count", pa.int64()),
]  # fmt: skip


def _document_row(ordinal: int, document: FakeDocument) -> dict[str, Any]:
    texts = [len((i.text or "").split()) for i in document.items if i.modality == "text"]
    return {
        "ordinal": ordinal, "id": f"{ordinal:032x}", "key": document.key, "size_bytes": 1,
        "items": [{"modality": i.modality, "name": i.name} for i in document.items],
        "image_width_px": [i.fields.get("width") for i in document.items if i.modality == "image"],
        "text_word_count": texts, "sample_text_count": len(texts),
    }  # fmt: skip
