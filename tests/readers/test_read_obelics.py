"""OBELICS: parallel lists of texts and images in a row, what is said of each image, and lists that do not fit."""

from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sluice.readers import detect_format, open_reader
from sluice.sample import Item, Sample
from sluice.sample.fields import types_of

A, B = "https://a.example/a.jpg?w=3", "https://a.example/b"


def read(path: Path, **settings: Any) -> list[Sample]:
    reader = open_reader(str(path), "obelics", settings=settings)
    return [sample for part in reader.slices() for sample in reader.read(part)]


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3)).save(file, "PNG")
    return file.getvalue()


def table(folder: Path, *rows: dict[str, Any], **columns: Any) -> Path:
    path = folder / "t.parquet"
    pq.write_table(pa.table({**pa.Table.from_pylist(list(rows)).to_pydict(), **columns}), path)
    return path


def one(folder: Path, **row: Any) -> Sample:
    (sample,) = read(table(folder, row))
    return sample


def test_a_document_as_obelics_has_it(tmp_path: Path) -> None:
    entry = {"document_url": "https://a.example", "src": A, "alt_text": "A cat", "original_width": 640}
    sample = one(
        tmp_path,
        images=[None, A, None, B],
        texts=["Title", None, "Text", None],
        metadata=json.dumps([None, entry, None, {"src": B}]),
        general_metadata=json.dumps({"url": "https://a.example/page", "languages": ["en"]}),
    )
    assert (sample.key, sample.notes) == ("t/00000000", ())
    assert sample.fields == {"url": "https://a.example/page", "languages": ["en"]}
    assert sample.items == (
        Item("metadata", "application/json", "json"),
        Item("text", "text/plain", "0.txt", "Title"),
        Item(
            "image",
            "image/jpeg",
            "1.jpg",
            fields={
                "document_url": "https://a.example", "src": A, "original_width": 640, "alt": "A cat", "url": A,
            },
        ),
        Item("text", "text/plain", "2.txt", "Text"),
        Item("image", "", "3.bin", fields={"src": B, "url": B}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (png(), "0.png"),
        ({"bytes": png(), "path": "x.jpeg"}, "0.jpeg"),
        ({"bytes": png(), "path": None}, "0.png"),
        ({"bytes": png(), "path": "https://a.example/y.webp?q"}, "0.webp"),
        ({"bytes": b"?", "path": "unknown"}, "0.bin"),
        ({"bytes": None, "path": "pics/a.png"}, "0.png"),
        ("./pics/a.png", "0.png"),
    ],
)
def test_images_as_bytes_and_as_files(tmp_path: Path, image: Any, name: str) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "a.png").write_bytes(png())
    sample = one(tmp_path, images=[image], texts=pa.scalar([None], pa.list_(pa.string())).as_py())
    item = sample.items[1]
    assert item.name == name
    assert item.media is not None
    assert item.media.read() == (b"?" if name == "0.bin" else png())
    assert ("url" in item.fields) == (name == "0.webp")


def test_entries_may_be_one_an_image_and_a_list(tmp_path: Path) -> None:
    sample = one(
        tmp_path,
        images=[None, A, B],
        texts=["x", None, None],
        metadata=[{"alt_text": "a"}, {"alt_text": "b"}],
    )
    assert [item.fields.get("alt") for item in sample.items[1:]] == [None, "a", "b"]


def test_other_columns_pass_through_with_their_types(tmp_path: Path) -> None:
    row = {"images": [A], "texts": [None], "day": date(2024, 5, 6), "score": 1.5, "none": None}
    (sample,) = read(table(tmp_path, row, small=pa.array([3], pa.int8())))
    assert sample.fields == {"day": date(2024, 5, 6), "score": 1.5, "small": 3}
    assert types_of(sample.fields)["small"] == pa.int8()


def test_the_id_is_a_column_where_there_is_one(tmp_path: Path) -> None:
    row = {"images": [A], "texts": [None]}
    samples = read(table(tmp_path, row | {"sample_id": "x/y"}, row | {"sample_id": None}))
    assert samples[0].key == "x/y"
    assert samples[1].notes[0].reason == "null id"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"images": [A], "texts": ["x", None]}, "lists of unequal length"),
        ({"images": [A, None], "texts": [None, "x"], "metadata": "[]"}, "lists of unequal length"),
        ({"images": [A], "texts": [None], "metadata": "[{"}, "malformed JSON"),
        ({"images": [A], "texts": [None], "metadata": "3"}, "metadata of another type"),
        ({"images": [A], "texts": [None], "metadata": '["\\ud800"]'}, "not Unicode text"),
        ({"images": [A], "texts": [None], "general_metadata": "[]"}, "not a JSON object"),
        ({"images": [A], "texts": [None], "general_metadata": "nope"}, "malformed JSON"),
        ({"images": [A], "texts": [3]}, "text of another type"),
        ({"images": [4], "texts": [None]}, "medium of another type"),
        ({"images": [{"bytes": None, "path": None}], "texts": [None]}, "medium of another type"),
        ({"images": ["x"] * 100_001, "texts": [None] * 100_001}, "too many items"),
        ({"images": "x", "texts": ["y"]}, "not a list"),
        ({"images": None, "texts": None}, "no texts and images"),
        ({"texts": ["x"]}, "column missing: images"),
    ],
)
def test_what_does_not_fit_fails_with_its_reason(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    sample = one(tmp_path, **row)
    assert (sample.items, sample.notes[0].kind, sample.notes[0].reason) == ((), "read", reason)


def test_one_bad_row_does_not_touch_the_others(tmp_path: Path) -> None:
    good = {"images": [A], "texts": [None]}
    samples = read(table(tmp_path, good, {"images": [A], "texts": ["x", None]}, good))
    assert [bool(sample.items) for sample in samples] == [True, False, True]
    assert [sample.key for sample in samples] == ["t/00000000", "t/00000001", "t/00000002"]


@pytest.mark.parametrize(
    ("rows", "format"),
    [
        ([{"images": [A, None], "texts": [None, "x"]}], "obelics"),
        ([{"images": [], "texts": []}, {"images": [{"bytes": b"x"}, None], "texts": [None, "x"]}], "obelics"),
        ([{"images": ["a.png"], "texts": ["one", "two"]}], "parquet"),
        ([{"images": ["a.png"], "texts": ["one"]}], "parquet"),
        ([{"images": [A], "texts": [{"user": "x"}]}], "parquet"),
        ([{"images": "a.png", "texts": "x"}], "parquet"),
        ([{"image": "a.png", "text": "x"}], "parquet"),
    ],
)  # fmt: skip
def test_detection(tmp_path: Path, rows: list[dict[str, Any]], format: str) -> None:
    assert detect_format(str(table(tmp_path, *rows))) == format


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 not really PAR1")
    assert detect_format(str(tmp_path)) == "parquet"
    (sample,) = read(tmp_path)
    assert sample.notes[0].kind == "read"
