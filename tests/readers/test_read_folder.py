"""Folders: what belongs together, slices that stay put, metadata tables, names that cannot be read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tars import contents, failures, read_all

import sluice.readers.folder as folder
from sluice.readers import open_reader


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def grouped(root: Path) -> dict[str, list[str]]:
    return {s.key: [i.name for i in s.items] for s in read_all(root, format="folder")}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.jpg", "a.txt", "b.jpg"], {"a": ["jpg", "txt"], "b": ["jpg"]}),
        (["a.jpg", "a.jpg.json", "a.v2.txt"], {"a": ["jpg", "jpg.json", "v2.txt"]}),
        (["a.left.png", "a.right.png", "a.txt"], {"a": ["left.png", "right.png", "txt"]}),
        (["a.2020.jpg", "a.2021.jpg", "a.2020.txt"], {"a.2020": ["jpg", "txt"], "a.2021": ["jpg"]}),
        (["a.jpg", "a.png"], {"a.jpg": [""], "a.png": [""]}),
        (["a.jpg", "a.png", "a.txt"], {"a": ["jpg", "png", "txt"]}),
        (["a.jpg", "a.mp4"], {"a": ["jpg", "mp4"]}),
        (["a-1.jpg", "a.jpg", "a.txt", "a/x.jpg"], {"a-1": ["jpg"], "a": ["jpg", "txt"], "a/x": ["jpg"]}),
        (["README", "notes.txt"], {"README": [""], "notes": ["txt"]}),
        (["d/a.jpg", "e/a.jpg"], {"d/a": ["jpg"], "e/a": ["jpg"]}),
    ],
)
def test_what_belongs_to_one_sample(tmp_path: Path, names: list[str], expected: dict[str, list[str]]) -> None:
    assert grouped(make(tmp_path, *names)) == expected


def test_key_and_name_are_the_path(tmp_path: Path) -> None:
    make(tmp_path, "d/a.jpg", "d/a.json", "ä b/ü.png", "c.jpg", "c.png", "LICENSE")
    for sample in read_all(tmp_path, format="folder"):
        for item in sample.items:
            path = f"{sample.key}.{item.name}" if item.name else sample.key
            assert item.media is not None
            assert item.media.read() == path.encode()
            assert item.media.addressable


def test_slices_end_at_boundaries_that_a_new_file_does_not_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "_BOUNDARY", 16)
    make(tmp_path, *(f"{k:04d}.{e}" for k in range(400) for e in ("jpg", "txt")))
    before = list(open_reader(tmp_path).slices())
    make(tmp_path, "0100x.jpg")
    after = list(open_reader(tmp_path).slices())
    assert len(before) > 10
    assert len(set(after) - set(before)) <= 2
    assert sum(p.samples or 0 for p in after) == 401
    monkeypatch.setattr(folder, "SLICE_SAMPLES", 7)
    assert max(p.samples or 0 for p in open_reader(tmp_path).slices()) == 7


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_metadata_tables_give_fields_and_captions(tmp_path: Path, kind: str) -> None:
    make(tmp_path, "a.jpg", "b.jpg", "b.txt", "d/c.jpg")
    rows = [
        {"file_name": "a.jpg", "text": "A", "licence": "cc0"},
        {"file_name": "b.jpg", "text": "B", "licence": "by"},
        {"file_name": "d/c.jpg", "text": "root's", "licence": "x"},
    ]
    if kind == "jsonl":
        (tmp_path / "metadata.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    elif kind == "csv":
        lines = ["file_name,text,licence", *(",".join(r.values()) for r in rows)]
        (tmp_path / "metadata.csv").write_text("\n".join(lines))
    else:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "metadata.parquet")
    (tmp_path / "d" / "metadata.jsonl").write_text('{"file_name": "c.jpg", "licence": "nearer"}')
    a, b, c = read_all(tmp_path)
    assert (contents(a), a.fields) == ({"jpg": b"a.jpg", "txt": b"A"}, {"licence": "cc0"})
    assert contents(b) == {"jpg": b"b.jpg", "txt": b"b.txt", "text.txt": b"B"}
    assert (list(contents(c)), c.fields) == (["jpg"], {"licence": "nearer"})


def test_a_metadata_table_that_cannot_be_read_fails_its_samples(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "d/b.jpg")
    (tmp_path / "d" / "metadata.jsonl").write_text('{"file_name": ')
    samples = read_all(tmp_path)
    assert all("metadata.jsonl" in s.notes[0].detail for s in samples if s.notes)
    assert set(failures(samples).values()) == {"metadata table not readable"}


def test_a_changed_metadata_table_changes_its_slices(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.jpg", "n": 1}')
    reader = open_reader(tmp_path)
    before = list(reader.slices())
    assert [s.fields for p in before for s in reader.read(p)] == [{"n": 1}]
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.jpg", "n": 222}')
    after = list(reader.slices())
    assert before != after
    assert [s.fields for p in after for s in reader.read(p)] == [{"n": 222}]


def test_names_that_are_not_unicode_fail_by_name(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    try:
        os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.jpg", os.O_CREAT | os.O_WRONLY))
    except OSError:
        return  # this file system refuses such names by itself
    samples = read_all(tmp_path, format="folder")
    assert failures(samples) == {"caf%E9": "file name is not Unicode"}
    assert [s.key for s in samples] == ["a", "caf%E9"]


def test_links_out_of_the_root_are_not_entered(tmp_path: Path) -> None:
    outside = make(tmp_path / "outside", "secret.jpg")
    root = make(tmp_path / "root", "a.jpg")
    (root / "way-out").symlink_to(outside)
    assert list(grouped(root)) == ["a"]


def test_a_file_that_vanishes_is_an_error_of_its_item(tmp_path: Path) -> None:
    from sluice.errors import StorageError

    make(tmp_path, "a.jpg", "b.jpg")
    reader = open_reader(tmp_path)
    parts = list(reader.slices())
    (tmp_path / "a.jpg").unlink()
    a, b = (s for p in parts for s in reader.read(p))
    with pytest.raises(StorageError):
        contents(a)
    assert contents(b) == {"jpg": b"b.jpg"}


def test_real_photographs(data_dir: Path) -> None:
    samples = read_all(data_dir / "photos")
    files = [p for p in (data_dir / "photos").rglob("*") if p.is_file()]
    assert sum(len(s.items) for s in samples) == len(files)
    assert len({s.id for s in samples}) == len(samples) == len({s.key for s in samples})
