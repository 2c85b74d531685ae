"""Documents written and read again: tars to tables and back, exactly; references verified; types kept."""

from __future__ import annotations

import decimal
import io
import json
import tarfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sluice.readers import detect_format, open_reader
from sluice.run.convert import convert
from sluice.sample import Item, Media, Sample
from sluice.storage import Location
from sluice.writers import open_writer

WDS, PARQUET = "interleaved-webdataset", "interleaved-parquet"


def all_of(path: Path | str, **given: Any) -> list[Sample]:
    reader = open_reader(str(path), **given)
    return [sample for part in reader.slices() for sample in reader.read(part)]


def told(sample: Sample) -> tuple[Any, ...]:
    """What of a sample must come through: id, items in order with bytes and fields, metadata."""
    items = [
        (
            item.modality,
            item.content_type,
            item.text,
            item.media.read() if item.media else None,
            item.media.page if item.media else None,
            {n: v for n, v in item.fields.items() if n != "source_ref"},
        )
        for item in sample.items
    ]
    return sample.key, items, dict(sample.fields)


def members(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        return [(m.name, tar.extractfile(m).read()) for m in tar if m.isfile()]  # type: ignore[union-attr]


def values(path: Path) -> list[tuple[str, Any]]:
    """Members with their bytes, JSON as what it says: columns have one order for all documents."""
    return [(n, json.loads(body) if n.endswith(".json") else body) for n, body in members(path)]


def tiff(*shades: int) -> bytes:
    file = io.BytesIO()
    first, *others = [Image.new("L", (9, 7), shade) for shade in shades]
    first.save(file, "TIFF", save_all=True, append_images=others)
    return file.getvalue()


def jpeg(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 12), (shade, 0, 255 - shade)).save(file, "JPEG")
    return file.getvalue()


def document(key: str, parts: list[str | bytes], fields: dict[str, Any], alts: bool = False) -> Sample:
    items = [Item("metadata", "application/json", "json")]
    for k, part in enumerate(parts):
        own = {"alt": f"alt {k}"} if alts else {}
        if isinstance(part, str):
            items.append(Item("text", "text/plain", f"{k}.txt", part, None, None, own))
        else:
            media = Media(size=len(part), data=part)
            items.append(Item("image", "image/jpeg", f"{k}.jpg", None, media, None, own))
    return Sample(f"id-{key}", key, tuple(items), fields)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["url", "score", "meta", "größe", "n"])
KEYS = st.lists(
    st.text("abc/ é%.()", min_size=1, max_size=8).filter(
        lambda k: (
            not k.startswith(("/", ".", " ")) and "//" not in k and "/." not in k and not k.endswith("/")
        )
    ),
    unique=True,
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_tar_to_table_to_tar_is_exact(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("trip")
    samples = [
        document(
            key,
            data.draw(st.lists(TEXTS | st.integers(0, 255).map(jpeg), min_size=1, max_size=5)),
            data.draw(st.dictionaries(NAMES, JSON, max_size=3)),
        )
        for key in data.draw(KEYS)
    ]
    open_writer(Location(folder / "a"), WDS).write_shard(0, samples, None)
    convert(str(folder / "a"), str(folder / "b"), to=PARQUET, format=WDS, quiet=True)
    convert(str(folder / "b"), str(folder / "c"), to=WDS, quiet=True)
    first, table, again = (
        all_of(folder / "a", format=WDS),
        all_of(folder / "b"),
        all_of(folder / "c", format=WDS),
    )
    assert [told(s) for s in first] == [told(s) for s in samples]
    assert [told(s) for s in table] == [told(s) for s in first]
    assert [told(s) for s in again] == [told(s) for s in first]
    assert values(folder / "a" / "00000.tar") == values(folder / "c" / "00000.tar")


def test_pages_of_a_tiff_and_fields_of_items_come_back_exactly(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.mkdir()
    doc = {
        "sample_id": "p",
        "texts": [None, "x", None, None],
        "images": ["p.0.tif", None, "p.0.tif", "https://example.org/i.jpg"],
        "alt": ["one", None, "three"],
    }
    with tarfile.open(source / "00000.tar", "w") as tar:
        for name, body in (("p.0.tif", tiff(10, 200)), ("p.json", json.dumps(doc).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    own = {"per_image_fields": ["alt"]}
    convert(str(source), str(tmp_path / "b"), to=PARQUET, read_settings=own, quiet=True)
    convert(str(tmp_path / "b"), str(tmp_path / "c"), to=WDS, quiet=True)
    (name, body), (json_name, told_json) = members(tmp_path / "c" / "00000.tar")
    assert (name, body, json_name) == ("p.0.tif", tiff(10, 200), "p.json")
    assert json.loads(told_json) == doc


def test_a_page_alone_is_written_as_a_picture_of_its_own(tmp_path: Path) -> None:
    media = Media(size=1, data=tiff(10, 200), page=1)
    media = Media(size=len(media.data or b""), data=media.data, page=1)
    sample = Sample("i", "k", (Item("image", "image/tiff", "0.tif", media=media),))
    open_writer(Location(tmp_path), WDS).write_shard(0, [sample], None)
    (_, body), _ = members(tmp_path / "00000.tar")
    assert Image.open(io.BytesIO(body)).getpixel((0, 0)) == 200
    assert getattr(Image.open(io.BytesIO(body)), "n_frames", 1) == 1


def table_of(rows: list[dict[str, Any]], **more: pa.Array) -> pa.Table:
    kinds = {
        "sample_id": pa.string(),
        "position": pa.int32(),
        "modality": pa.string(),
        "content_type": pa.string(),
        "text_content": pa.string(),
        "binary_content": pa.large_binary(),
        "source_ref": pa.string(),
        "materialize_error": pa.string(),
    }
    return pa.table({n: pa.array([r.get(n) for r in rows], k) for n, k in kinds.items()} | more)


def row(key: str | None, position: int, text: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "sample_id": key,
        "position": position,
        "modality": "text",
        "content_type": "text/plain",
        "text_content": text,
    } | more


def test_passthrough_columns_keep_their_types(tmp_path: Path) -> None:
    rows = [row("a", -1, None, modality="metadata", content_type="application/json"), row("a", 0, "x")]
    more = {
        "f": pa.array([1.5, None], pa.float32()),
        "big": pa.array(["u", None], pa.large_string()),
        "day": pa.array([date(2020, 1, 2), None], pa.date32()),
        "at": pa.array([datetime(2020, 1, 2, tzinfo=UTC), None], pa.timestamp("ms", "UTC")),
        "money": pa.array([decimal.Decimal("1.50"), None], pa.decimal128(9, 2)),
        "small": pa.array([None, 7], pa.int8()),
        "words": pa.array([["a", "b"], None], pa.large_list(pa.string())),
        "where": pa.array([{"x": 1}, None], pa.struct([("x", pa.int16())])),
        "kind": pa.array(["c", None]).dictionary_encode(),
        "empty": pa.nulls(2, pa.int32()),
    }
    (tmp_path / "a").mkdir()
    pq.write_table(table_of(rows, **more), tmp_path / "a" / "t.parquet")
    assert detect_format(tmp_path / "a") == PARQUET
    convert(str(tmp_path / "a"), str(tmp_path / "b"), to=PARQUET, quiet=True)
    found = pq.read_table(tmp_path / "b" / "00000.parquet")
    for name, column in more.items():
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        assert found.schema.field(name).type == kind, name
        assert found.column(name).to_pylist() == column.to_pylist(), name
    assert set(found.column_names) - set(table_of(rows, **more).column_names) == {"source_fields"}


def test_unknown_modalities_pass_through_untouched(tmp_path: Path) -> None:
    rows = [
        row("a", 0, "x"),
        row("a", 1, None, modality="point_cloud", content_type="model/ply", binary_content=b"ply"),
        row("a", 2, "| a |", modality="table", content_type="text/csv"),
    ]
    (tmp_path / "a").mkdir()
    pq.write_table(table_of(rows), tmp_path / "a" / "t.parquet")
    convert(str(tmp_path / "a"), str(tmp_path / "b"), to=PARQUET, quiet=True)
    found = pq.read_table(tmp_path / "b" / "00000.parquet").to_pylist()
    kept = ("sample_id", "position", "modality", "content_type", "text_content", "binary_content")
    assert [{n: r[n] for n in kept} for r in found] == [{n: r.get(n) for n in kept} for r in rows]


def test_row_groups_and_files_never_split_a_document(tmp_path: Path) -> None:
    body = jpeg(3) + bytes(3_000_000)
    samples = [document(f"d{n}", [body, "t", body, "u"], {}) for n in range(40)]
    writer = open_writer(Location(tmp_path), PARQUET)
    writer.write_shard(0, samples, None)
    opened = pq.ParquetFile(tmp_path / "00000.parquet")
    assert opened.num_row_groups > 2
    seen: list[str] = []
    for g in range(opened.num_row_groups):
        ids = opened.read_row_group(g, columns=["sample_id"]).column(0).to_pylist()
        assert len(ids) % 5 == 0
        seen += dict.fromkeys(ids)
    assert seen == [f"d{n}" for n in range(40)]


def ref(path: str, member: str | None = None, offset: int | None = None, size: int | None = None) -> str:
    return json.dumps({"path": path, "member": member, "byte_offset": offset, "byte_size": size})


@pytest.fixture
def referred(tmp_path: Path) -> tuple[Path, int]:
    """A folder with a tar of two images, plain and compressed, and the offset of the second."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as tar:
        for name, data in (
            ("i/a.jpg", jpeg(1)),
            ("i/" + "long" * 40 + ".jpg", jpeg(2)),
            ("i/b.jpg", jpeg(3)),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    import gzip

    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "x.tar").write_bytes(body.getvalue())
    (tmp_path / "s" / "x.tar.gz").write_bytes(gzip.compress(body.getvalue()))
    with tarfile.open(tmp_path / "s" / "x.tar") as tar:
        return tmp_path / "s", tar.getmember("i/b.jpg").offset_data


def media_rows(*refs: str) -> list[dict[str, Any]]:
    return [
        row(f"d{n}", 0, None, modality="image", content_type="image/jpeg", source_ref=text)
        for n, text in enumerate(refs)
    ]


def test_references_are_verified_before_use(referred: tuple[Path, int]) -> None:
    folder, at = referred
    good = [
        ref("x.tar", "i/b.jpg", at, len(jpeg(3))),
        ref("x.tar", "i/b.jpg"),
        ref("x.tar", None, at, len(jpeg(3))),
        ref("x.tar.gz", "i/b.jpg"),
        ref(str(folder / "x.tar"), "i/b.jpg", at, len(jpeg(3))),
    ]
    bad = {
        ref("x.tar", "i/b.jpg", at + 512, len(jpeg(3))): "wrong byte range",
        ref("x.tar", "i/b.jpg", at + 7, len(jpeg(3))): "wrong byte range",
        ref("x.tar", "i/b.jpg", at, len(jpeg(3)) - 1): "wrong byte range",
        ref("x.tar", "i/a.jpg", at, len(jpeg(3))): "wrong byte range",
        ref("x.tar", "i/b.jpg", 1 << 40, 9): "wrong byte range",
        ref("x.tar", "gone.jpg"): "missing image",
        ref("x.tar.gz", "i/b.jpg", at, len(jpeg(3))): "offset into a compressed tar",
        ref("gone.tar", "i/b.jpg"): "file missing",
        ref("../x.tar", "i/b.jpg"): "unsafe path",
        ref("/etc/passwd"): "unsafe path",
        "{": "malformed source_ref",
        '{"path": 3}': "malformed source_ref",
    }
    pq.write_table(table_of(media_rows(*good, *bad)), folder / "t.parquet")
    samples = all_of(folder / "t.parquet")
    assert [s.items[0].media.read() for s in samples[: len(good)] if s.items[0].media] == [jpeg(3)] * len(
        good
    )
    found = [s.notes[0].reason for s in samples[len(good) :]]
    assert found == list(bad.values())


def test_images_by_reference_are_read_again(tmp_path: Path) -> None:
    samples = [document(f"d{n}", ["t", jpeg(n)], {}) for n in range(3)]
    open_writer(Location(tmp_path / "src"), WDS).write_shard(0, samples, None)
    convert(
        str(tmp_path / "src"),
        str(tmp_path / "out"),
        to=PARQUET,
        format=WDS,
        settings={"images": "reference"},
        quiet=True,
    )
    found = pq.read_table(tmp_path / "out" / "00000.parquet").to_pylist()
    refs = [json.loads(r["source_ref"]) for r in found if r["modality"] == "image"]
    assert all(r["binary_content"] is None for r in found)
    assert [Path(r["path"]).read_bytes()[r["byte_offset"] :][: r["byte_size"]] for r in refs] == [
        jpeg(n) for n in range(3)
    ]
    assert [s.notes[0].reason for s in all_of(tmp_path / "out")] == ["unsafe path"] * 3
    again = all_of(tmp_path / "out", settings={"references": str(tmp_path / "src")})
    assert [told(s)[:2] for s in again] == [told(s)[:2] for s in all_of(tmp_path / "src", format=WDS)]


def test_rows_that_make_no_document_fail_alone(tmp_path: Path) -> None:
    rows = [
        row(None, 0, "no id"),
        row(None, 1, "no id"),
        row("a", 0, "good"),
        row("split", 0, "one"),
        row("b", 0, "good"),
        row("split", 1, "two"),
        row("none", None, "x"),  # type: ignore[arg-type]
        row("twice", 0, "x"),
        row("twice", 0, "y"),
        row("mute", 0, None),
        row("what", 0, "x", modality=None),
        row("c", 1, "second"),
        row("c", 0, "first"),
    ]
    pq.write_table(table_of(rows), tmp_path / "t.parquet")
    samples = all_of(tmp_path / "t.parquet")
    assert [s.notes[0].reason if s.notes else s.key for s in samples] == [
        "null id",
        "a",
        "rows not adjacent",
        "b",
        "null position",
        "duplicate position",
        "text without content",
        "null modality",
        "c",
    ]
    assert [item.text for item in samples[-1].items] == ["first", "second"]
    done = convert(str(tmp_path / "t.parquet"), str(tmp_path / "out"), to=WDS, quiet=True)
    assert (done.read, done.written, done.failed) == (9, 3, 6)


def test_a_folder_of_parquet_is_documents_only_with_their_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["x"], "position": [1]}), tmp_path / "t.parquet")
    assert detect_format(tmp_path) == "parquet"
