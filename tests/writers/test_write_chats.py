"""Chats and token documents written and read again: the same items, the same JSON, and what has no place there."""

from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sluice.readers import detect_format, open_reader
from sluice.readers.documents import DocumentBuilder
from sluice.recipe.load import loads
from sluice.run import run
from sluice.run.convert import convert
from sluice.sample import Item, Media, Sample
from sluice.sample.fields import Fields, types_of
from sluice.storage import Location
from sluice.writers import obelics, open_writer
from sluice.writers.protocol import ShardResult


def read(path: Path, **given: Any) -> list[Sample]:
    reader = open_reader(str(path), **given)
    return [sample for part in reader.slices() for sample in reader.read(part)]


def write(folder: Path, format: str, samples: list[Sample], table: Any = None, **given: Any) -> ShardResult:
    return open_writer(Location(folder), format, **given).write_shard(0, samples, table)


def told(sample: Sample) -> tuple[Any, ...]:
    """What of a sample must come through."""
    items = [
        (i.modality, i.content_type, i.name, i.text, i.media.read() if i.media else None, dict(i.fields))
        for i in sample.items
    ]
    return sample.key, items, dict(sample.fields)


def png(shade: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def in_hand(data: bytes) -> Media:
    return Media(size=len(data), data=data)


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(lambda t: "<" not in t)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
MEDIA = st.sampled_from(
    [("image", "image/png", "png"), ("video", "video/mp4", "mp4"), ("audio", "audio/mpeg", "mp3")]
)
URLS = st.sampled_from(["https://a.example/x.png", "http://b.example/y.png?z=1"])
KEYS = st.lists(st.text("ab/ é%.()\n", min_size=1, max_size=8) | st.just("k" * 300), unique=True, max_size=4)
FIELDS = st.dictionaries(
    st.sampled_from(["source", "key", "model", "größe", "parent", "items"]), JSON, max_size=3
)


@st.composite
def turns(draw: Any, roles: list[str]) -> DocumentBuilder:
    """A document of turns in which no two texts are neighbours."""
    build = DocumentBuilder()
    build.metadata()
    for number in range(draw(st.integers(1, 4))):
        own: dict[str, Any] = {"role": draw(st.sampled_from(roles)), "turn": number}
        if draw(st.booleans()):
            own["message"] = {"loss": draw(JSON)}
        was_text = False
        for is_text in draw(st.lists(st.booleans(), max_size=4)) or [None]:
            if is_text is None:
                build.text("", own)
            elif is_text and not was_text:
                build.text(draw(TEXTS), own)
            else:
                medium(draw, build, own)
            was_text = bool(is_text) and not was_text
    return build


def medium(draw: Any, build: DocumentBuilder, own: dict[str, Any]) -> None:
    modality, mime, extension = draw(MEDIA)
    if draw(st.booleans()):
        build.medium(modality, mime, in_hand(draw(st.binary(max_size=9))), own, extension=extension)
    else:
        build.medium(modality, "image/png", None, own | {"url": draw(URLS)})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), style=st.sampled_from(["llava", "sharegpt"]))
def test_chats_come_back(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, style: str) -> None:
    folder = tmp_path_factory.mktemp("trip")
    roles = ["system", "x", *({"llava": ["human", "gpt"]}.get(style) or ["user", "assistant"])]
    samples = [data.draw(turns(roles)).sample(f"id-{key}", key, data.draw(FIELDS)) for key in data.draw(KEYS)]
    result = write(folder / "a", "llava", samples, style=style)
    assert (result.samples, result.failed) == (len(samples), {})
    again = read(folder / "a" / "00000.json", format="llava")
    assert [told(s) for s in again] == [told(s) for s in samples]
    assert not any(s.notes for s in again)
    write(folder / "b", "llava", again, style=style)
    assert (folder / "a" / "00000.json").read_bytes() == (folder / "b" / "00000.json").read_bytes()


def objects(folder: Path) -> list[dict[str, Any]]:
    found = json.loads((folder / "00000.json").read_text())
    assert isinstance(found, list)
    return found


def test_json_goes_through_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(png())
    value = {
        "id": "q/1",
        "image": "a.png",
        "conversations": [
            {"from": "human", "value": "  <image>\n\nWho?\t", "weight": 1},
            {"from": "gpt", "value": ""},
            {"from": "human", "value": "<ima"},
        ],
        "model": "",
        "key": None,
        "score": [1.5, {"deep": None}],
    }
    (tmp_path / "in" / "chats.json").write_text(json.dumps([value]))
    write(tmp_path / "out", "llava", read(tmp_path / "in"))
    assert objects(tmp_path / "out") == [value | {"image": "images/00000/q/1.1.png"}]
    assert (tmp_path / "out" / "images/00000/q/1.1.png").read_bytes() == png()
    write(tmp_path / "other", "llava", read(tmp_path / "in"), style="sharegpt")
    (other,) = objects(tmp_path / "other")
    assert other["images"] == ["images/00000/q/1.1.png"]
    assert [(m["role"], m["content"]) for m in other["messages"]] == [
        ("user", "  <image>\n\nWho?\t"), ("assistant", ""), ("user", "<ima"),
    ]  # fmt: skip


def document(*parts: str | bytes, key: str = "k", **fields: Any) -> Sample:
    build = DocumentBuilder()
    for part in parts:
        if isinstance(part, str):
            build.text(part)
        else:
            build.medium("image", "image/png", in_hand(part))
    return build.sample(f"id-{key}", key, fields)


@pytest.mark.parametrize(
    ("parts", "asked", "answer"),
    [
        ((b"1", "a cat"), "<image>", "a cat"),
        (("a cat",), "", "a cat"),
        (("a", "b", b"1", "c", "d"), "a\nb<image>c", "d"),
        (("a", b"1", "b", b"2"), "a<image><image>", "b"),
        ((b"1", "", "b"), "<image>", "b"),
    ],
)
def test_documents_without_roles_are_a_question_and_an_answer(
    tmp_path: Path, parts: tuple[str | bytes, ...], asked: str, answer: str
) -> None:
    write(tmp_path, "llava", [document(*parts)])
    (value,) = objects(tmp_path)
    assert value["conversations"] == [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]


def test_a_captioned_picture_with_its_metadata(tmp_path: Path) -> None:
    items = (
        Item("image", "image/jpeg", "jpg", media=in_hand(b"x")),
        Item("text", "text/plain", "txt", "a dog"),
        Item("metadata", "application/json", "json", '{"url": "u", "id": 5, "sha": null}'),
    )
    table = pa.table({"id": ["i"], "key": ["a/b"], "width_px": [3], "note": [None], "url": ["measured"]})
    write(tmp_path, "llava", [Sample("i", "a/b", items, {"extra": float("inf")})], table)
    assert objects(tmp_path) == [
        {
            "id": "a/b",
            "image": "images/00000/a/b.0.jpg",
            "conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "a dog"}],
            "source_url": "u",
            "source_id": 5,
            "sha": None,
            "extra": None,
            "width_px": 3,
            "url": "measured",
        }
    ]


def lost() -> Sample:
    return Sample("i", "lost", (Item("image", "", "0.bin", fields={"materialize_error": "gone"}),))


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (document("an <image> tag", "x"), "text contains a marker"),
        (document(b"1", "the <audio> element"), "text contains a marker"),
        (document(b"1"), "no text to be the answer"),
        (lost(), "no bytes"),
        (Sample("i", "k", (Item("other", "", "bin", media=in_hand(b"x")),)), "an item that the format cannot hold"),
        (Sample("i", "k", (Item("text", "", "txt", media=in_hand(b"\xff")),)), "not UTF-8"),
    ],
)  # fmt: skip
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, sample: Sample, reason: str) -> None:
    result = write(tmp_path, "llava", [document(b"1", "a", key="1"), sample, None, document("b", key="2")])
    assert (result.samples, result.failed) == (2, {1: reason, 2: "could not be read again"})
    assert [value["id"] for value in objects(tmp_path)] == ["1", "2"]
    assert [file.path for file in result.files] == ["images/00000/1.0.png", "00000.json"]


def test_texts_that_join_to_a_marker_are_refused(tmp_path: Path) -> None:
    build = DocumentBuilder()
    for text in ("<ima", "ge>"):
        build.text(text, {"role": "human", "turn": 0})
    assert write(tmp_path, "llava", [build.sample("i", "k", {})]).failed == {0: "text contains a marker"}


def test_nothing_is_an_empty_array(tmp_path: Path) -> None:
    write(tmp_path, "llava", [])
    assert objects(tmp_path) == []


def test_files_never_meet_or_leave_the_folder(tmp_path: Path) -> None:
    keys = ["a", "a.0", "../up", "/abs", "a//b", "", "é" * 150, ".hidden", "x\0y"]
    samples = [document(bytes([k]), "t", key=key) for k, key in enumerate(keys)]
    result = write(tmp_path, "llava", samples)
    assert result.samples == len(keys)
    paths = [value["image"] for value in objects(tmp_path)]
    assert [(tmp_path / path).read_bytes() for path in paths] == [bytes([k]) for k in range(len(keys))]
    assert all((tmp_path / path).resolve().is_relative_to(tmp_path / "images") for path in paths)


def test_a_run_from_chats_to_chats(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "pics").mkdir(parents=True)
    for name, size in (("small.png", (20, 20)), ("large.png", (200, 100))):
        Image.new("RGB", size, (200, 30, 30)).save(source / "pics" / name)
    names = ("small.png", "large.png", "gone.png")
    chats = [
        {
            "id": name,
            "image": f"data/pics/{name}",
            "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": name}],
        }
        for name in names
    ]
    chats.append({"id": "text", "conversations": [{"from": "human", "value": "<image>"}]})
    (source / "chats.json").write_text(json.dumps(chats))
    recipe = loads(
        "source: {path: in, format: llava, settings: {strip_prefix: data/}}\n"
        "steps:\n  - keep: any(image_width_px >= 100)\n"
        "write: {path: out, format: llava}\n",
        source=str(source),
    )
    summary = run(recipe, output=str(tmp_path / "out"), workers=0, quiet=True)
    assert (summary["read"], summary["kept"], summary["failed"]) == (4, 1, 1)
    assert detect_format(str(tmp_path / "out")) == "llava"
    (value,) = objects(tmp_path / "out")
    assert (value["id"], value["image"]) == ("large.png", "images/00000/large.png.0.png")
    assert value["conversations"] == chats[1]["conversations"]
    (again,) = read(tmp_path / "out")
    assert again.items[1].media is not None
    assert again.items[1].media.read() == (source / "pics" / "large.png").read_bytes()


def test_convert_to_chats_and_back(tmp_path: Path, data_dir: Path) -> None:
    source = data_dir / "interleaved" / "llamafactory" / "mllm_demo.json"
    convert(str(source), str(tmp_path / "b"), to="interleaved-webdataset", quiet=True)
    convert(str(tmp_path / "b"), str(tmp_path / "c"), to="llava", format="interleaved-webdataset", quiet=True)
    convert(str(source), str(tmp_path / "d"), to="llava", quiet=True)
    first = read(tmp_path / "d")
    assert len(first) == 6
    assert [s.items[1].fields["role"] for s in first] == ["human"] * 6
    assert len(read(tmp_path / "c")) == 6


# obelics


@st.composite
def interleaved(draw: Any) -> DocumentBuilder:
    """A document of texts and images, with fields of their own."""
    build = DocumentBuilder()
    build.metadata()
    names = st.sampled_from(["alt", "role", "source", "größe"])
    for _ in range(draw(st.integers(1, 5))):
        own = draw(st.dictionaries(names, JSON, max_size=2))
        kind = draw(st.sampled_from(["text", "bytes", "url"]))
        if kind == "text":
            build.text(draw(st.just("") | TEXTS), own)
        elif kind == "bytes":
            build.medium("image", "image/png", in_hand(draw(st.binary(max_size=9))), own, extension="png")
        else:
            build.medium("image", "image/png", None, own | {"url": draw(URLS)})
    return build


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_obelics_comes_back(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("trip")
    keys = data.draw(KEYS)
    samples = []
    for key in keys:
        columns = {"n": data.draw(st.integers(0, 100)), "day": date(2024, 1, 2), "key": "x"}
        typed = Fields(
            {**data.draw(st.dictionaries(st.sampled_from(["source", "model"]), JSON)), **columns},
            {"n": pa.int8(), "day": pa.date32(), "key": pa.string()},
        )
        samples.append(data.draw(interleaved()).sample(f"id-{key}", key, typed))
    result = write(folder / "a", "obelics", samples)
    assert (result.samples, result.failed) == (len(samples), {})
    again = read(folder / "a", format="obelics")
    assert [told(s) for s in again] == [told(s) for s in samples]
    assert all(types_of(s.fields)["n"] == pa.int8() for s in again)
    write(folder / "b", "obelics", again)
    table, other = (pq.read_table(folder / name / "00000.parquet") for name in "ab")
    assert table.equals(other)


def test_obelics_as_others_read_it(tmp_path: Path) -> None:
    build = DocumentBuilder()
    build.text("one")
    build.medium("image", "image/png", None, {"url": "https://a.example/x.png", "alt": "A"})
    build.medium("image", "image/png", in_hand(b"x"), {"src": "s"})
    measured = pa.table({"id": ["i"], "key": ["k"], "text_length": [3]})
    write(tmp_path, "obelics", [build.sample("i", "k", {"url": "u"})], measured)
    assert pq.read_table(tmp_path / "00000.parquet").drop_columns("source_fields").to_pylist() == [
        {
            "sample_id": "k",
            "images": [
                None, {"bytes": None, "path": "https://a.example/x.png"}, {"bytes": b"x", "path": "2.png"},
            ],
            "texts": ["one", None, None],
            "metadata": '[null, {"alt_text": "A"}, {"src": "s"}]',
            "general_metadata": '{"url": "u"}',
            "text_length": 3,
        }
    ]  # fmt: skip
    assert detect_format(str(tmp_path)) == "obelics"


def test_obelics_holds_texts_and_images_alone(tmp_path: Path) -> None:
    build = DocumentBuilder()
    build.medium("video", "video/mp4", in_hand(b"x"))
    samples = [document("a", key="1"), build.sample("i", "v", {}), lost(), document("b", key="2")]
    result = write(tmp_path, "obelics", samples)
    assert (result.samples, result.failed) == (2, {1: "an item that the format cannot hold", 2: "no bytes"})
    assert [s.key for s in read(tmp_path, format="obelics")] == ["1", "2"]


def test_obelics_in_many_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obelics, "GROUP_ROWS", 2)
    samples = [document(str(k), key=str(k)) for k in range(5)]
    table = pa.table({"id": list("01234"), "key": list("01234"), "n": range(5)})
    write(tmp_path, "obelics", [samples[0], None, *samples[2:]], table)
    assert pq.ParquetFile(tmp_path / "00000.parquet").num_row_groups == 2
    again = read(tmp_path, format="obelics")
    assert [(s.key, s.fields["n"]) for s in again] == [("0", 0), ("2", 2), ("3", 3), ("4", 4)]


# data-juicer


@st.composite
def chunked(draw: Any) -> DocumentBuilder:
    """A document of chunks in which no two texts are neighbours; the last one may have no end."""
    build = DocumentBuilder()
    build.metadata()
    ends = draw(st.lists(st.just(True), max_size=3)) + [False] * draw(st.booleans())
    for number, ended in enumerate(ends or [False]):
        own = {"chunk": number} if ended else {}
        was_text = False
        shape = draw(st.lists(st.booleans(), min_size=not ended, max_size=4))
        if not shape:
            build.text("", own)
        for is_text in shape:
            if is_text and not was_text:
                build.text(draw(TEXTS), own)
            else:
                medium(draw, build, own)
            was_text = is_text and not was_text
    return build


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_token_documents_come_back(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("trip")
    samples = [data.draw(chunked()).sample(f"id-{key}", key, data.draw(FIELDS)) for key in data.draw(KEYS)]
    result = write(folder / "a", "data-juicer", samples)
    assert (result.samples, result.failed) == (len(samples), {})
    again = read(folder / "a" / "00000.jsonl", format="data-juicer")
    assert [told(s) for s in again] == [told(s) for s in samples]
    write(folder / "b", "data-juicer", again)
    assert (folder / "a" / "00000.jsonl").read_bytes() == (folder / "b" / "00000.jsonl").read_bytes()


def test_token_documents_of_other_sources(tmp_path: Path) -> None:
    table = pa.table({"id": ["i"], "key": ["k"], "text_length": [3]})
    write(tmp_path, "data-juicer", [document("a", "b", b"1", "c", url="u", images=2)], table)
    assert json.loads((tmp_path / "00000.jsonl").read_text()) == {
        "id": "k",
        "text": "a\nb<__dj__image>c",
        "images": ["media/00000/k.2.png"],
        "url": "u",
        "source_images": 2,
        "text_length": 3,
    }
    assert detect_format(str(tmp_path)) == "data-juicer"


@pytest.mark.parametrize("token", ["<__dj__image>", "<__dj__audio>", "<|__dj__eoc|>"])
def test_a_token_in_a_text_is_refused(tmp_path: Path, token: str) -> None:
    samples = [document(b"1", "x", key="1"), document(f"see {token}", key="2"), document(b"2", key="3")]
    result = write(tmp_path, "data-juicer", samples)
    assert (result.samples, result.failed) == (2, {1: "text contains a token"})


def test_from_one_format_to_the_others(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.png").write_bytes(png())
    text = "<__dj__image> A cat. <|__dj__eoc|>and <__dj__image>"
    line = {"id": "x", "text": text, "images": ["a.png", "https://a.example/b.png"], "meta": {"src": "s"}}
    (source / "d.jsonl").write_text(json.dumps(line))
    convert(str(source / "d.jsonl"), str(tmp_path / "o"), to="obelics", quiet=True)
    convert(str(tmp_path / "o"), str(tmp_path / "d"), to="data-juicer", quiet=True)
    (again,) = [json.loads(row) for row in (tmp_path / "d" / "00000.jsonl").read_text().splitlines()]
    assert again == line | {"images": ["media/00000/x.0.png", "https://a.example/b.png"]}
    convert(str(tmp_path / "d"), str(tmp_path / "l"), to="llava", quiet=True)
    (value,) = objects(tmp_path / "l")
    assert [turn["value"] for turn in value["conversations"]] == ["<image> A cat. <image>", "and "]
