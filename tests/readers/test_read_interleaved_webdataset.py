"""Documents in tars: texts and images in order, found by name, each fault of a document its own."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tars import contents, failures, read_all, tar_bytes

from sluice.errors import SourceError, UsageError
from sluice.readers import detect_format

KIND = "interleaved-webdataset"


def document(name: str, **keys: Any) -> tuple[str, bytes]:
    return f"{name}.json", json.dumps(keys).encode()


def written(folder: Path, *members: tuple[str, bytes], name: str = "a.tar") -> Path:
    path = folder / name
    data = tar_bytes(members)
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    return path


def pages(*shades: int) -> bytes:
    file = io.BytesIO()
    first, *others = [Image.new("L", (9, 7), shade) for shade in shades]
    first.save(file, "TIFF", save_all=True, append_images=others)
    return file.getvalue()


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_items_come_in_the_order_of_the_lists(tmp_path: Path, name: str) -> None:
    members = [
        ("d/x.0.jpg", b"first"),
        document("d/one", texts=["a", None, "b"], images=[None, "x.0.jpg", "y.png"], url="u", n=None),
        ("y.png", b"second"),
    ]
    path = written(tmp_path, *members, name=name)
    (sample,) = read_all(path, format=KIND)
    assert sample.key == "d/one"
    assert [item.name for item in sample.items] == ["json", "0.txt", "1.jpg", "2.txt", "3.png"]
    assert list(contents(sample).values()) == [b"", b"a", b"first", b"b", b"second"]
    assert dict(sample.fields) == {"url": "u", "n": None}


def test_the_format_is_told_by_a_look_inside(tmp_path: Path) -> None:
    assert detect_format(written(tmp_path, document("a", texts=["x"], images=[None]))) == KIND
    assert detect_format(written(tmp_path, ("a.jpg", b"x"), document("a", caption="x"))) == "webdataset"


def test_the_kth_reference_to_a_tiff_is_its_kth_page(tmp_path: Path) -> None:
    path = written(tmp_path, document("a", texts=[None] * 2, images=["p0", "p1"]), ("a.tiff", pages(10, 200)))
    (sample,) = read_all(path, format=KIND)
    assert [item.media and item.media.page for item in sample.items[1:]] == [None, 1]


def test_fields_are_dealt_to_the_items_in_order(tmp_path: Path) -> None:
    doc = document("a", texts=["x", None], images=[None, "i.jpg"], alt=["dog"], lang=["en"])
    path = written(tmp_path, doc, ("i.jpg", b"i"))
    settings = {"per_image_fields": ["alt"], "per_text_fields": ["lang"]}
    (sample,) = read_all(path, format=KIND, settings=settings)
    assert [dict(item.fields) for item in sample.items] == [{}, {"lang": "en"}, {"alt": "dog"}]
    assert dict(sample.fields) == {}


def test_each_fault_is_its_document_s_alone(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        ("bad.json", b'{"texts": ['),
        ("binary.json", b"\xff\xfe"),
        ("array.json", b"[]"),
        document("unequal", texts=["a"], images=[]),
        document("nothing", url="x"),
        document("null", sample_id=None, texts=["a"]),
        document("typed", texts=[1]),
        document("image", texts=[None], images=[{"a": 1}]),
        document("missing", texts=[None], images=["gone.jpg"]),
        document("unsafe", texts=[None], images=["../x.jpg"]),
        document("twice", texts=[None], images=["d.jpg"]),
        ("d.jpg", b"1"),
        ("d.jpg", b"2"),
        document("first", sample_id="same", texts=["a"]),
        document("second", sample_id="same", texts=["b"]),
        document("good", texts=["a"], images=[None]),
    )
    samples = read_all(path, format=KIND)
    assert [s.key for s in samples if not s.notes] == ["same", "good"]
    reasons = [s.notes[0].reason for s in samples if s.notes]
    assert reasons == [
        "malformed JSON",
        "not UTF-8",
        "not a JSON object",
        "lists of unequal length",
        "no texts and images",
        "null id",
        "text of another type",
        "image name of another type",
        "missing image",
        "unsafe member name",
        "duplicate member",
        "duplicate id",
    ]


def test_what_becomes_of_a_missing_image_is_said_by_a_setting(tmp_path: Path) -> None:
    path = written(tmp_path, document("a", texts=["x", None, "y"], images=[None, "gone.jpg", None]))
    assert failures(read_all(path, format=KIND)) == {"a": "missing image"}
    (dropped,) = read_all(path, format=KIND, settings={"missing_image": "drop_item"})
    assert [item.name for item in dropped.items] == ["json", "0.txt", "1.txt"]
    (kept,) = read_all(path, format=KIND, settings={"missing_image": "keep_reference"})
    assert kept.items[2].media is None
    assert kept.items[2].fields["materialize_error"] == "missing image"
    with pytest.raises(SourceError, match="missing image"):
        read_all(path, format=KIND, settings={"missing_image": "stop"})
    with pytest.raises(UsageError, match="missing_image"):
        read_all(path, format=KIND, settings={"missing_imag": "stop"})


def test_an_address_stays_a_reference(tmp_path: Path) -> None:
    path = written(tmp_path, document("a", texts=[None], images=["https://example.org/a.jpg"]))
    (sample,) = read_all(path, format=KIND)
    assert sample.items[1].media is None
    assert sample.items[1].fields == {"url": "https://example.org/a.jpg"}
    assert not sample.notes


def test_a_truncated_tar_gives_its_whole_documents_and_a_failure(tmp_path: Path) -> None:
    path = written(tmp_path, document("a", texts=["x"]), document("b", texts=["y" * 4000]))
    path.write_bytes(path.read_bytes()[:2000])
    samples = read_all(path, format=KIND)
    assert [s.notes[0].reason if s.notes else s.key for s in samples] == ["a", "truncated tar"]


def test_ten_thousand_images_in_one_document(tmp_path: Path) -> None:
    path = written(tmp_path, document("a", texts=[None] * 10_000, images=["i.jpg"] * 10_000), ("i.jpg", b"i"))
    (sample,) = read_all(path, format=KIND)
    assert len(sample.items) == 10_001
    assert sample.items[-1].name == "9999.jpg"
