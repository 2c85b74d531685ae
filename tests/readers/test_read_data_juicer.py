"""Data-Juicer's documents: tokens where media stand, chunks and their ends, and lists that do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sluice.readers import detect_format, open_reader
from sluice.readers import jsonl as lines_module
from sluice.sample import Item, Sample

IMAGE, EOC = "<__dj__image>", "<|__dj__eoc|>"


def read(path: Path, **settings: Any) -> list[Sample]:
    reader = open_reader(str(path), "data-juicer", settings=settings)
    return [sample for part in reader.slices() for sample in reader.read(part)]


def one(folder: Path, **value: Any) -> Sample:
    for name in ("a.png", "b.png", "c.mp4", "d.wav"):
        (folder / name).write_bytes(name.encode())
    (folder / "d.jsonl").write_text(json.dumps(value))
    (sample,) = read(folder / "d.jsonl")
    return sample


def shown(sample: Sample) -> list[Any]:
    """Per item: its chunk, and its text or its file."""
    return [
        (item.fields.get("chunk"), item.text if item.modality == "text" else _file(item))
        for item in sample.items[1:]
    ]


def _file(item: Item) -> str:
    return f"<{item.media.read().decode()}>" if item.media else f"<{item.fields.get('url')}>"


def test_a_document_of_chunks(tmp_path: Path) -> None:
    sample = one(
        tmp_path,
        id="x",
        text=f"{IMAGE} A cat, {IMAGE}and\n{EOC} <__dj__video>{EOC}{EOC}<__dj__audio>end",
        images=["b.png", "./a.png"],
        videos=["c.mp4"],
        audios=["d.wav"],
        __dj__stats__={"n": 1},
    )
    assert sample.key == "x"
    assert sample.fields == {"__dj__stats__": {"n": 1}}
    assert sample.items[0] == Item("metadata", "application/json", "json")
    assert shown(sample) == [
        (0, "<b.png>"), (0, " A cat, "), (0, "<a.png>"), (0, "and\n"), (1, " "), (1, "<c.mp4>"), (2, ""),
        (None, "<d.wav>"), (None, "end"),
    ]  # fmt: skip
    assert [item.name for item in sample.items[1:4]] == ["0.png", "1.txt", "2.png"]


@pytest.mark.parametrize(
    ("text", "images", "expected"),
    [
        ("a", [], [(None, "a")]),
        ("", None, [(None, "")]),
        ("", ["a.png"], [(None, "<a.png>")]),
        (EOC, [], [(0, "")]),
        ("a" + EOC, ["a.png"], [(0, "<a.png>"), (0, "a")]),
        ("a", "a.png", [(None, "<a.png>"), (None, "a")]),
        (IMAGE, ["https://a.example/x"], [(None, "<https://a.example/x>")]),
    ],
)
def test_texts_alone_and_media_without_tokens(
    tmp_path: Path, text: str, images: Any, expected: list[Any]
) -> None:
    assert shown(one(tmp_path, text=text, images=images)) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"text": IMAGE}, "markers without media"),
        ({"text": IMAGE, "images": ["a.png", "b.png"]}, "media without markers"),
        ({"text": IMAGE, "images": [1]}, "medium of another type"),
        ({"text": None, "images": ["a.png"]}, "text of another type"),
        ({"images": ["a.png"]}, "text of another type"),
    ],
)
def test_what_does_not_fit_fails_with_its_reason(tmp_path: Path, value: Any, reason: str) -> None:
    sample = one(tmp_path, **value)
    assert (sample.items, sample.notes[0].reason) == ((), reason)


def test_a_missing_file_is_a_note_on_its_item(tmp_path: Path) -> None:
    sample = one(tmp_path, text=f"{IMAGE}x", images=["/abs/gone.png"])
    assert [(note.reason, note.item) for note in sample.notes] == [("unsafe path", 1)]


def test_where_media_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "a.png").write_bytes(b"a")
    (tmp_path / "d.jsonl").write_text(json.dumps({"text": IMAGE, "images": ["/data/a.png"]}))
    (sample,) = read(tmp_path, media_root="pics", strip_prefix="/data/")
    assert shown(sample) == [(None, "<a>")]


def test_slices_are_lines_and_rows_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "SLICE_LINES", 2)
    (tmp_path / "d.jsonl").write_text("\n".join(json.dumps({"text": f"{k}{EOC}"}) for k in range(5)))
    reader = open_reader(str(tmp_path), "data-juicer")
    parts = list(reader.slices())
    assert [part.samples for part in parts] == [2, 2, 1]
    assert [s.key for part in parts for s in reader.read(part)] == [f"d/{k:08d}" for k in range(5)]
    assert [s.items[1].text for s in reader.read(parts[1], rows={1})] == ["3"]


@pytest.mark.parametrize(
    ("rows", "format"),
    [
        ([{"text": f"{IMAGE} x", "images": ["a.png"]}], "data-juicer"),
        ([{"text": "x"}, {"text": f"x{EOC}"}], "data-juicer"),
        ([{"text": "x"}] * 10 + [{"text": EOC}], "jsonl"),
        ([{"text": "x", "images": ["a.png"]}], "jsonl"),
        ([{"caption": IMAGE}], "jsonl"),
        ([{"text": IMAGE, "members": [], "sidecars": []}], "jsonl"),
        ([["<__dj__image>"]], "jsonl"),
    ],
)
def test_detection(tmp_path: Path, rows: list[Any], format: str) -> None:
    (tmp_path / "d.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    assert detect_format(str(tmp_path)) == format
