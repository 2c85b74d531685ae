"""Parquet, JSONL and CSV: roles of columns, slices, and every way in which a table can be bad."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tars import contents, failures, read_all

import sluice.readers.csv as csv_reader
import sluice.readers.jsonl as jsonl
import sluice.readers.parquet as parquet
from sluice.errors import SourceError
from sluice.readers import open_reader
from sluice.sample import Sample

JPEG, PNG = b"\xff\xd8\xff rest of a jpeg", b"\x89PNG\r\n\x1a\n rest of a png"


def lines(tmp_path: Path, *rows: Any, name: str = "a.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in rows))
    return path


def table(tmp_path: Path, data: dict[str, Any] | pa.Table, name: str = "a.parquet", **settings: Any) -> Path:
    path = tmp_path / name
    pq.write_table(data if isinstance(data, pa.Table) else pa.table(data), path, **settings)
    return path


def names(sample: Sample) -> list[tuple[str, str]]:
    return [(i.modality, i.name) for i in sample.items]


def test_parquet_columns_are_recognised(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        {
            "id": [7, 8],
            "image": [{"bytes": JPEG, "path": "x/7.left.jpg"}, {"bytes": PNG, "path": None}],
            "caption": ["seven", None],
            "url": ["https://x/7.jpg", "https://x/8.jpg"],
            "score": [0.5, 2.0],
            "vector": [b"\0\1", None],
        },
    )
    seven, eight = read_all(path)
    assert (seven.key, names(seven)) == ("7", [("image", "left.jpg"), ("text", "txt"), ("other", "vector")])
    assert contents(seven) == {"left.jpg": JPEG, "txt": b"seven", "vector": b"\0\1"}
    assert seven.fields == {"url": "https://x/7.jpg", "score": 0.5}
    assert (eight.key, names(eight)) == ("8", [("image", "png")])
    assert not open_reader(path).addressable


def test_columns_of_the_recipe_come_first(tmp_path: Path) -> None:
    path = table(tmp_path, {"pic": [JPEG], "alt": ["a"], "name": ["n"], "id": ["i"], "text": ["t"]})
    (sample,) = read_all(path, columns={"image": "pic", "text": "alt", "key": "name"})
    assert (sample.key, contents(sample)) == ("n", {"jpg": JPEG, "txt": b"a"})
    assert sample.fields == {"source_id": "i", "text": "t"}
    with pytest.raises(SourceError, match="did you mean 'image'"):
        open_reader(path, columns={"imgae": "pic"})


def test_lists_of_images_are_items_in_order(tmp_path: Path) -> None:
    path = table(tmp_path, {"images": [[JPEG, PNG], []], "texts": [["a", "b"], None]})
    first, second = read_all(path)
    assert names(first) == [("image", "0.jpg"), ("image", "1.png"), ("text", "0.txt"), ("text", "1.txt")]
    assert (second.key, second.items) == ("a/00000001", ())


def test_parquet_slices_follow_row_groups_and_cut_large_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "SLICE_ROWS", 10)
    monkeypatch.setattr(parquet, "_BATCH_ROWS", 4)
    rows = pa.table({"key": [f"k{i}" for i in range(67)], "image": [JPEG + bytes([i]) for i in range(67)]})
    for group in (3, 10, 25, 67):
        path = table(tmp_path, rows, row_group_size=group)
        reader = open_reader(path)
        parts = list(reader.slices())
        assert [p.first_row for p in parts] == [p.start for p in parts]
        assert max(p.samples or 0 for p in parts) <= 10
        in_order = [s for p in parts for s in reader.read(p)]
        assert [s.key for s in in_order] == [f"k{i}" for i in range(67)]
        fresh = pickle.loads(pickle.dumps(reader))  # noqa: S301 - our own
        backwards = [s for p in reversed(parts) for s in reversed(list(fresh.read(p)))]
        assert backwards[::-1] == in_order == read_all(path)


def test_files_that_are_no_parquet_fail_alone(tmp_path: Path) -> None:
    good = table(tmp_path, {"image": [JPEG]}, "b.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(b"PAR0" + good[4:-4] + b"PAR0")
    (tmp_path / "c.parquet").write_bytes(good[:-9])
    (tmp_path / "d.parquet").write_bytes(b"")
    footer = bytearray(good)
    start = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    footer[start : start + 40] = b"\xff" * 40
    (tmp_path / "e.parquet").write_bytes(footer)
    table(tmp_path, {"other": [1]}, "f.parquet")
    samples = read_all(tmp_path, columns={"image": "image"})
    failed = failures(samples)
    assert failed.pop("e.parquet") in ("damaged Parquet footer", "not a Parquet file")
    assert failed == {
        "a.parquet": "not a Parquet file",
        "c.parquet": "not a Parquet file",
        "d.parquet": "not a Parquet file",
        "f.parquet": "column missing: image",
    }
    assert [s.key for s in samples if not s.notes] == ["b/00000000"]


def test_rows_of_a_damaged_page_fail_one_by_one(tmp_path: Path) -> None:
    images = {"image": [JPEG * 100 + bytes([i]) for i in range(50)]}
    path = table(tmp_path, images, row_group_size=10, use_dictionary=False)
    meta = pq.read_metadata(path)
    data = bytearray(path.read_bytes())
    start = meta.row_group(2).column(0).data_page_offset
    data[start : start + 30] = b"\xff" * 30
    path.write_bytes(data)
    samples = read_all(path)
    assert len(samples) == 50
    assert failures(samples) == {f"a/{i:08d}": "damaged Parquet data" for i in range(20, 30)}


def test_text_that_is_not_utf8_fails_its_row(tmp_path: Path) -> None:
    bad = pa.array([b"ok", b"caf\xe9", b"fine"], pa.binary()).view(pa.string())
    samples = read_all(table(tmp_path, pa.table({"text": bad})))
    assert failures(samples) == {"a/00000001": "value not readable"}
    assert [contents(s) for s in samples if not s.notes] == [{"txt": b"ok"}, {"txt": b"fine"}]


def test_jsonl_bad_lines_fail_with_their_number(tmp_path: Path) -> None:
    path = lines(
        tmp_path,
        b"\xef\xbb\xbf" + json.dumps({"key": "a", "text": "A"}).encode(),
        b'{"key": "b", ',
        b"",
        b"[1, 2]",
        b'{"text": "caf\xe9"}',
        b'{"text": "\\ud800"}',
        b"[" * 200_000,
        {"key": "z", "text": "Z", "meta": {"x": [1, None]}, "n": 3, "id": 9},
    )
    samples = read_all(path)
    assert failures(samples) == {
        "a/00000001": "malformed JSON",
        "a/00000003": "not a JSON object",
        "a/00000004": "not UTF-8",
        "a/00000005": "not Unicode text",
        "a/00000006": "malformed JSON",
    }
    assert "a.jsonl, line 4: " in samples[2].notes[0].detail
    assert [(s.key, contents(s)) for s in samples if not s.notes] == [
        ("a", {"txt": b"A"}),
        ("z", {"txt": b"Z"}),
    ]
    assert samples[-1].fields == {"meta": {"x": [1, None]}, "n": 3, "source_id": 9}


def test_jsonl_media_lie_beside_the_file_and_nowhere_else(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "d" / "pics").mkdir(parents=True)
    (root / "d" / "pics" / "1.jpg").write_bytes(JPEG)
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (root / "d" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    lines(
        root / "d",
        {"key": "ok", "images": ["pics/1.jpg", "./pics/1.jpg"]},
        {"key": "up", "image": "../../secret.jpg"},
        {"key": "abs", "image": str(tmp_path / "secret.jpg")},
        {"key": "link", "image": "link.jpg"},
        {"key": "gone", "image": "pics/2.jpg", "text": "t"},
        {"key": "web", "image": "https://x/1.jpg"},
    )
    samples = {s.key: s for s in read_all(root, format="jsonl")}
    assert contents(samples["ok"]) == {"0.jpg": JPEG, "1.jpg": JPEG}
    reasons = {k: [(n.kind, n.reason, n.item) for n in s.notes] for k, s in samples.items()}
    assert reasons["up"] == reasons["abs"] == reasons["link"] == [("unreadable", "unsafe path", 0)]
    assert reasons["gone"] == [("unreadable", "file missing", 0)]
    assert names(samples["gone"]) == [("image", "jpg"), ("text", "txt")]
    assert samples["web"].fields == {"image": "https://x/1.jpg"}


def test_jsonl_slices_are_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"key": f"k{i}", "text": "x" * (i % 50)} if i % 7 else b"" for i in range(100)]
    path = lines(tmp_path, *rows)
    whole = read_all(path)
    monkeypatch.setattr(jsonl, "SLICE_LINES", 9)
    assert read_all(path) == whole
    assert len(list(open_reader(path).slices())) == 10
    monkeypatch.setattr(jsonl, "LONGEST_LINE", 40)
    short = read_all(path)
    assert len(short) == len(whole)
    assert set(failures(short).values()) == {"line too long"}


def test_csv_and_tsv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.jpg").write_bytes(JPEG)
    text = 'id,image,caption,n\n1,p.jpg,"two\nlines, ""quoted""",5\n\n2,,short\n3,p.jpg,x,6,7\n4,p.jpg,caf\xe9,8\n'
    (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))
    one, two, three, four = read_all(tmp_path / "a.csv")
    assert (one.key, contents(one)) == ("1", {"jpg": JPEG, "txt": b'two\nlines, "quoted"'})
    assert one.fields == {"n": "5"}
    assert (two.key, contents(two), two.fields) == ("2", {"txt": b"short"}, {})
    assert failures([three, four]) == {"a/00000002": "malformed CSV", "a/00000003": "not UTF-8"}
    (tmp_path / "b.tsv").write_text("text\n" + "".join(f"t{i}\n" for i in range(25)))
    whole = read_all(tmp_path / "b.tsv")
    monkeypatch.setattr(csv_reader, "SLICE_ROWS", 4)
    assert read_all(tmp_path / "b.tsv") == whole
    (tmp_path / "c.csv").write_bytes(JPEG + bytes(range(256)) * 9)
    assert list(failures(read_all(tmp_path / "c.csv"))) == ["c.csv"]


def test_real_tables(data_dir: Path) -> None:
    captions = data_dir / "captions"
    bytes_ = read_all(captions / "data-juicer__demo-dataset-images-bytes.parquet")
    assert next(names(s) for s in bytes_) == [("image", "png"), ("text", "txt")]
    assert len(read_all(captions / "img2dataset__test_1000.parquet")) == 1000
    unsafe = read_all(captions / "data-juicer__demo-dataset-images.jsonl")
    assert [s.notes[0].reason for s in unsafe] == ["unsafe path"] * 3
    coco = read_all(captions / "LLaVA__caps_boxes_coco2014_val_80.jsonl")
    assert len(coco) == 80
    assert len(coco[0].of("text")) == 5
    assert len(read_all(captions / "video2dataset__test_webvid.csv")) == 20
    array = read_all(data_dir / "bad" / "data-juicer__demo-dataset.jsonl")
    assert set(failures(array).values()) == {"malformed JSON"}
