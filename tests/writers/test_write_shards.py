"""Promises of every writer: equal bytes, true digests, counted failures, nothing half written."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import assume, given
from hypothesis import strategies as st

import sluice.writers.parquet as parquet
from sluice.errors import UsageError
from sluice.readers import open_reader
from sluice.sample import Item, Media, Note, Sample
from sluice.writers import open_writer, writers
from sluice.writers.columns import typed_columns
from sluice.writers.tar import header

FORMATS = ["webdataset", "folder", "parquet", "jsonl"]


def picture(key: str, data: bytes = b"bytes", name: str = "jpg", hash_: str | None = None) -> Sample:
    return Sample(f"id-{key}", key, (Item("image", "image/jpeg", name, media=Media(data=data), hash=hash_),))


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("format_", FORMATS)
def test_equal_input_gives_equal_bytes_and_true_digests(tmp_path: Path, format_: str) -> None:
    made = [picture(f"k{i}", bytes([i]) * i * 99) for i in range(50)]
    fields = pa.table({"id": [s.id for s in made], "key": [s.key for s in made], "m": np.arange(50) / 7})
    results = [open_writer(tmp_path / n, format_).write_shard(2, iter(made), fields) for n in ("a", "b")]
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert results[0] == results[1]
    written = files(tmp_path / "a")
    assert {f.path for f in results[0].files} == set(written)
    assert all(f.size == len(written[f.path]) for f in results[0].files)
    assert all(f.hash == xxhash.xxh3_128_hexdigest(written[f.path]) for f in results[0].files)


@pytest.mark.parametrize("format_", FORMATS)
def test_samples_that_cannot_be_written_are_counted_by_position(tmp_path: Path, format_: str) -> None:
    gone = Sample("g", "gone", (Item("image", "", "jpg", media=Media(str(tmp_path / "none.jpg"), 0, 5)),))
    cut = Sample("c", "cut", (Item("video", "", "mp4", media=Media(data=b"x", start_s=1.0)),))
    broken = Sample("r", "r", notes=(Note("read", "truncated tar"),))
    missing = Sample(
        "m", "m", (Item("image", "", "jpg"),), notes=(Note("unreadable", "file missing", item=0),)
    )
    good = xxhash.xxh3_128_hexdigest(b"bytes")
    made = [
        picture("a", hash_=good), None, picture("b", hash_="0" * 32), gone, cut, broken, missing,
        picture("a"), Sample("e", "empty"), picture("z"),
    ]  # fmt: skip
    fields = pa.table({"id": [str(i) for i in range(10)], "m": list(range(10))})
    result = open_writer(tmp_path / "out", format_).write_shard(0, made, fields)
    assert result.failed == {
        1: "could not be read again",
        2: "changed since it was measured",
        3: "bytes not readable",
        4: "a cut cannot be copied",
        5: "truncated tar",
        6: "file missing",
        7: "duplicate key in the output",
        8: "nothing to write",
    }
    assert result.samples == 2
    table = next((p for p in sorted((tmp_path / "out").glob("*.parquet"))), None)
    if table is not None:
        assert pq.read_table(table).column("m").to_pylist() == [0, 9]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_writer_that_is_stopped_leaves_no_shard(tmp_path: Path, format_: str) -> None:
    def stopping() -> Iterator[Sample]:
        yield picture("a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_writer(tmp_path, format_).write_shard(0, stopping(), None)
    left = set(files(tmp_path))
    assert not {n for n in left if n.startswith(("0", "metadata"))}


@pytest.mark.parametrize("format_", FORMATS)
def test_hostile_keys_stay_below_the_output(tmp_path: Path, format_: str) -> None:
    keys = [
        "../up",
        "/abs",
        "a/../../b",
        "n\0ul",
        "line\nbreak",
        ".hidden",
        "_sluice/x",
        "a//b",
        "metadata",
        ".",
    ]
    made = [picture(k, k.encode(), name="jsonl" if k == "metadata" else "jpg") for k in keys]
    result = open_writer(tmp_path / "out", format_).write_shard(0, made, None)
    assert result.failed == {}
    assert {p.name for p in tmp_path.iterdir()} == {"out"}
    reader = open_reader(tmp_path / "out", format_)
    back = [s for p in reader.slices() for s in reader.read(p)]
    assert [s.notes for s in back] == [()] * len(keys)
    assert sorted(i.media.read() for s in back for i in s.items if i.media) == sorted(
        k.encode() for k in keys
    )


def test_fields_go_into_the_json_under_one_key(tmp_path: Path) -> None:
    def with_json(key: str, text: bytes) -> Sample:
        return Sample(key, key, (Item("metadata", "", "json", media=Media(data=text)),), {"url": "u"})

    made = [with_json("a", b'{"x": 1}'), with_json("b", b"[1]"), with_json("c", b"{bad"), picture("d")]
    fields = pa.table({"id": list("abcd"), "m": [1.5, float("nan"), None, 2.0]})
    open_writer(tmp_path, fields_in_json=True, parquet=False).write_shard(0, made, fields)
    with tarfile.open(tmp_path / "00000.tar") as tar:
        found = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    assert json.loads(found["a.json"]) == {"x": 1, "sluice": {"url": "u", "m": 1.5}}
    assert found["b.json"] == b"[1]"
    assert json.loads(found["b.sluice.json"]) == {"sluice": {"url": "u", "m": None}}
    assert found["c.json"] == b"{bad"
    assert json.loads(found["d.json"]) == {"sluice": {"m": 2.0}}
    assert not (tmp_path / "00000.parquet").exists()


@pytest.mark.parametrize(
    ("setting", "expected"), [("none", None), ("float16", pa.float16()), ("float32", pa.float32())]
)
@pytest.mark.parametrize("format_", ["webdataset", "parquet", "folder"])
def test_embeddings_are_left_out_halved_or_kept(
    tmp_path: Path, format_: str, setting: str, expected: pa.DataType | None
) -> None:
    values = pa.array(np.linspace(0, 1, 12, dtype=np.float32))
    vectors = pa.FixedSizeListArray.from_arrays(values, 4)
    fields = pa.table({"id": ["a", "b", "c"], "clip": vectors})
    made = [picture("a"), None, picture("c")]
    open_writer(tmp_path, format_, embeddings=setting).write_shard(0, made, fields)
    table = pq.read_table(next(tmp_path.glob("*.parquet")))
    if expected is None:
        assert "clip" not in table.column_names
        return
    assert table.schema.field("clip").type == pa.list_(expected, 4)
    assert np.allclose(table.column("clip").to_pylist()[1], np.linspace(0, 1, 12)[8:], atol=1e-3)


def test_parquet_row_groups_are_bounded_and_fields_of_any_kind_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 4)
    kinds = [1, "text", None, 2.5, [1, "a"], {"x": 1}, {"y": {}}, True, 2**70, [], "é"]
    made = [Sample(str(k), f"k{k}", picture("a").items, {"v": v, f"only{k}": k}) for k, v in enumerate(kinds)]
    open_writer(tmp_path, "parquet").write_shard(0, made, None)
    assert pq.ParquetFile(tmp_path / "00000.parquet").num_row_groups == 3
    reader = open_reader(tmp_path)
    back = [s.fields for p in reader.slices() for s in reader.read(p)]
    assert [repr(f.get("v")) for f in back] == [repr(v) for v in kinds]
    assert [f[f"only{k}"] for k, f in enumerate(back)] == list(range(len(kinds)))


@given(
    st.lists(st.dictionaries(st.sampled_from("ab"), st.none() | st.integers() | st.text() | st.booleans()))
)
def test_no_field_is_lost_in_typed_columns(rows: list[dict[str, object]]) -> None:
    columns = {n: c.to_pylist() for n, c in typed_columns(rows).items()}
    left = columns.pop("source_fields", [None] * len(rows))
    for k, row in enumerate(rows):
        kept = {n: c[k] for n, c in columns.items() if c[k] is not None} | json.loads(left[k] or "{}")
        assert kept == {n: v for n, v in row.items() if v is not None}


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300),
    st.integers(0, 2**40),
)
def test_headers_say_any_name_and_size(name: str, size: int) -> None:
    assume(not name.endswith("/"))  # a folder; no member of ours is one
    info = tarfile.TarFile.open(fileobj=io.BytesIO(header(name, size) + bytes(1024)), mode="r:").next()
    assert info is not None
    assert (info.name, info.size, info.mtime, info.mode) == (name, size, 0, 0o644)


def test_unknown_formats_and_settings_name_the_nearest(tmp_path: Path) -> None:
    assert set(writers()) >= set(FORMATS)
    with pytest.raises(UsageError, match="did you mean 'parquet'"):
        open_writer(tmp_path, "parqet")
    with pytest.raises(UsageError, match="did you mean 'embeddings'"):
        open_writer(tmp_path, "parquet", embedings="float16")
    with pytest.raises(UsageError, match="use none, float16 or float32"):
        open_writer(tmp_path, "parquet", embeddings="int8")
