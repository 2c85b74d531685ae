"""What we write opens in the tools that others use."""

from __future__ import annotations

import json
import subprocess
import tarfile
import warnings
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.sample import Item, Media, Sample, sample_id
from sluice.writers import open_writer

LONG = "deep/" * 30 + "l" * 120


def sample(key: str, *parts: tuple[str, str, bytes], **fields: object) -> Sample:
    items = tuple(Item(modality, "", name, media=Media(data=data)) for modality, name, data in parts)  # type: ignore[arg-type]
    return Sample(sample_id("x", key), key, items, fields)


SAMPLES = [
    sample(
        "a", ("image", "jpg", b"A" * 700), ("text", "txt", b"a caption"), ("metadata", "json", b'{"x": 1}')
    ),
    sample("d/b.c", ("image", "left.png", b"B"), ("other", "cls", b"7"), url="https://x"),
    sample("é 日本", ("image", "jpg", b"")),
    sample(LONG, ("image", "jpg", b"L" * 512), n=5),
]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    result = open_writer(tmp_path, "webdataset").write_shard(0, SAMPLES, None)
    assert result.failed == {}
    return tmp_path


def test_gnu_tar_lists_and_extracts(output: Path, tmp_path: Path) -> None:
    tar = output / "00000.tar"
    run = subprocess.run(["tar", "--quoting-style=literal", "-tf", str(tar)], capture_output=True, check=True)
    assert run.stderr == b""
    assert run.stdout.decode().splitlines() == [
        "a.jpg", "a.txt", "a.json", "d/b%2Ec.left.png", "d/b%2Ec.cls", "é 日本.jpg", f"{LONG}.jpg",
    ]  # fmt: skip
    out = tmp_path / "x"
    out.mkdir()
    subprocess.run(["tar", "-xf", str(tar), "-C", str(out)], check=True)
    assert (out / f"{LONG}.jpg").read_bytes() == b"L" * 512


def test_tarfile_sees_fixed_times_owners_and_modes(output: Path) -> None:
    with tarfile.open(output / "00000.tar") as tar:
        members = tar.getmembers()
    assert len(members) == 7
    assert {(m.mtime, m.uid, m.gid, m.mode, m.uname, m.gname) for m in members} == {(0, 0, 0, 0o644, "", "")}


def test_webdataset_groups_the_same_samples(output: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import webdataset

        found = list(webdataset.WebDataset(str(output / "00000.tar"), shardshuffle=False))
    assert [s["__key__"] for s in found] == ["a", "d/b%2Ec", "é 日本", LONG]
    assert {k: v for k, v in found[0].items() if not k.startswith("__")} == {
        "jpg": b"A" * 700,
        "txt": b"a caption",
        "json": b'{"x": 1}',
    }


def test_parquet_beside_the_tar_says_where_the_bytes_lie(output: Path) -> None:
    rows = pq.read_table(output / "00000.parquet").to_pylist()
    tar = (output / "00000.tar").read_bytes()
    assert [r["key"] for r in rows] == [s.key for s in SAMPLES]
    for row, expected in zip(rows, SAMPLES, strict=True):
        bodies = [tar[o : o + n] for o, n in zip(row["offsets"], row["sizes"], strict=True)]
        assert bodies == [i.media.read() for i in expected.items if i.media]
        assert row["tar"] == "00000.tar"
    found = duckdb.sql(
        f"select url, n, members[1] from '{output}/00000.parquet' where len(members) = 1"
    ).fetchall()
    assert found == [(None, None, "é 日本.jpg"), (None, 5, f"{LONG}.jpg")]


def test_parquet_output_opens_in_duckdb_and_pyarrow(tmp_path: Path) -> None:
    fields = pa.table({"id": [s.id for s in SAMPLES], "image_sharpness": [1.5, 2.5, 3.5, 4.5]})
    open_writer(tmp_path, "parquet").write_shard(3, SAMPLES, fields)
    path = tmp_path / "00003.parquet"
    query = (
        f"select key, octet_length(image.bytes), text, image_sharpness from '{path}' order by image_sharpness"
    )
    assert duckdb.sql(query).fetchall()[:2] == [("a", 700, "a caption", 1.5), ("d/b.c", 1, None, 2.5)]
    assert pq.read_table(path).schema.field("image").type == pa.struct(
        [("bytes", pa.binary()), ("path", pa.string())]
    )


def test_jsonl_output_is_strict_json_with_files_beside(tmp_path: Path) -> None:
    fields = pa.table({"id": [s.id for s in SAMPLES], "image_noise": [float("nan"), 1.0, None, float("inf")]})
    open_writer(tmp_path, "jsonl").write_shard(0, SAMPLES, fields)

    def refuse(token: str) -> None:
        raise AssertionError(token)

    rows = [json.loads(x, parse_constant=refuse) for x in (tmp_path / "00000.jsonl").read_text().splitlines()]
    assert rows[0]["text"] == "a caption"
    assert [(tmp_path / p).read_bytes() for p in rows[0]["images"]] == [b"A" * 700]
    assert [r.get("image_noise") for r in rows] == [None, 1.0, None, None]


def test_folder_output_is_an_image_folder(tmp_path: Path) -> None:
    open_writer(tmp_path, "folder").write_shard(0, SAMPLES, None)
    rows = pq.read_table(tmp_path / "metadata-00000.parquet").to_pylist()
    assert [r["file_name"] for r in rows][:2] == ["a.jpg", "d/b.c.left.png"]
    assert all((tmp_path / r["file_name"]).is_file() for r in rows)
