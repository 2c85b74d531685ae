"""Chats made to break their reader: each fails alone with its reason, or reads as what it says, and soon."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.readers import detect_format, json_array, open_reader
from sluice.readers import jsonl as jsonl_module
from sluice.sample import Sample


def read(path: Path, format: str = "llava", **given: Any) -> list[Sample]:
    reader = open_reader(str(path), format, settings=given)
    return [sample for part in reader.slices() for sample in reader.read(part)]


def outcomes(path: Path, data: bytes, format: str = "llava") -> list[str]:
    """Per object its key, or why it could not be read."""
    path.write_bytes(data)
    return [s.key if s.items else f"{s.notes[0].kind}: {s.notes[0].reason}" for s in read(path, format)]


def chat(identity: Any = "a", text: str = "hi", **more: Any) -> bytes:
    return json.dumps({"id": identity, "conversations": [{"from": "human", "value": text}], **more}).encode()


A, B = chat("a"), chat("b")
DEEP = b'{"conversations": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ["read: not a JSON array"]),
        (b"  \n", ["read: not a JSON array"]),
        (b'"text"', ["read: not a JSON array"]),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10, ["read: not a JSON array"]),
        (b'{"a":\n {"b": 1}}', ["read: not a JSON array"]),
        (b"[]", []),
        (b"[" + A, ["a", "read: truncated JSON"]),
        (b"[" + A + b",", ["a", "read: truncated JSON"]),
        (b"[" + A + b"," + B[:-4], ["a", "read: truncated JSON"]),
        (b"[" + A + b',{"id": "b', ["a", "read: truncated JSON"]),
        (b"[" + A + b',{"id": "b\\', ["a", "read: truncated JSON"]),
        (b"[" + A + b"]" + B, ["a", "read: data after the array"]),
        (b"[" + A + b"]\n \n", ["a"]),
        (b"[" + A + b',{"id": b},' + B + b"]", ["a", "read: malformed JSON", "b"]),
        (b"[" + A + b",nul," + B + b"]", ["a", "read: malformed JSON", "b"]),
        (b"[" + A + b',{"id": 1,},' + B + b"]", ["a", "read: malformed JSON", "b"]),
        (b'[1,"x",[],null,' + A + b"]", ["read: not a JSON object"] * 4 + ["a"]),
        (b"[" + A + b"," + DEEP + b"," + B + b"]", ["a", "read: malformed JSON", "b"]),
        (b"[" * 100_000, ["read: truncated JSON"]),
        (b"[" + A + b',{"id": "\xff"},' + B + b"]", ["a", "read: not UTF-8", "b"]),
        (b"[" + A.replace(b"hi", b"\\ud800") + b"," + B + b"]", ["read: not Unicode text", "b"]),
        (b"[" + chat("a", '"]}{[\\') + b"," + B + b"]", ["a", "b"]),
        (b"[" + b",".join([A, A]) + b"]", ["a", "a"]),
        (b"[" + chat(None) + b"," + chat([]) + b"]", ["c/00000000", "c/00000001"]),
    ],
)
def test_arrays(tmp_path: Path, data: bytes, expected: list[str]) -> None:
    assert outcomes(tmp_path / "c.json", data) == expected


def test_samples_of_one_id_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(b"[" + b",".join([A] * 3) + b"]")
    assert len({sample.id for sample in read(tmp_path / "c.json")}) == 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (chat("a", "<image>" * 10_000, images=["https://a.example/x.jpg"] * 10_000), "a"),
        (chat("a", "<image>" * 150_000, images=[]), "read: markers without media"),
        (chat("a", "<image>" * 150_000, images=["x"] * 150_000), "read: too many items"),
        (chat("a", "<image>" * 100_000 + "x", images=["x"] * 100_000), "read: too many items"),
        (chat("a", "hi", images=["x"] * 100_001), "read: too many items"),
        (chat("a", "x<image" * 150_000), "a"),
        (json.dumps({"messages": [{"role": "user", "content": ["x"] * 100_001}]}).encode(), "read: too many items"),
        (json.dumps({"messages": [{"role": "user", "content": ""}] * 100_001}).encode(), "read: too many items"),
        (
            json.dumps({"messages": [{"role": "u", "content": [{"image": "h"}, "<IMG_CONTEXT>" * 80_000]}]}).encode(),
            "read: markers without media",
        ),
    ],
    ids=range(9),
)  # fmt: skip
def test_huge_chats_take_little_time(tmp_path: Path, value: bytes, expected: str) -> None:
    begin = time.process_time()
    assert outcomes(tmp_path / "c.json", b"[" + value + b"]") == [expected]
    assert time.process_time() - begin < 10


def test_ten_thousand_images_each_have_their_place(tmp_path: Path) -> None:
    urls = [f"https://a.example/{k}.jpg" for k in range(10_000)]
    (tmp_path / "c.json").write_bytes(b"[" + chat("a", "<image>\n" * 10_000, images=urls) + b"]")
    (sample,) = read(tmp_path / "c.json")
    assert [item.fields["url"] for _, item in sample.of("image")] == urls
    assert sample.items[-1].name == "19999.txt"


def test_an_object_beyond_the_limit_ends_the_file_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_array.elements, "__defaults__", (0, None, 1 << 20))
    with (tmp_path / "c.json").open("wb") as file:
        file.write(b"[" + A + b',{"id": "')
        for _ in range(40):
            file.write(b"x" * (1 << 20))
        file.write(b'"},' + B + b"]")
    tracemalloc.start()
    found = [s.key if s.items else s.notes[0].reason for s in read(tmp_path / "c.json")]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == ["a", "object too long"]
    assert peak < 16 << 20


def test_a_long_array_is_read_in_bounded_memory(tmp_path: Path) -> None:
    with (tmp_path / "c.json").open("wb") as file:
        file.write(b"[")
        file.writelines(chat(k, "x" * 10_000) + b",\n" for k in range(4000))
        file.write(B + b"]")
    reader = open_reader(str(tmp_path / "c.json"), "llava")
    tracemalloc.start()
    count = sum(1 for part in reader.slices() for _ in reader.read(part))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 4001
    assert peak < 12 << 20


def test_a_line_too_long_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl_module, "LONGEST_LINE", 1000)
    data = A + b"\n" + chat("long", "x" * 5000) + b"\n" + B
    assert outcomes(tmp_path / "c.jsonl", data) == ["a", "read: line too long", "b"]


def test_a_file_that_shrinks_after_listing_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(b"[" + A + b"," + B + b"]")
    reader = open_reader(str(tmp_path / "c.json"), "llava")
    (part,) = reader.slices()
    (tmp_path / "c.json").write_bytes(b"[" + A)
    assert [s.notes[0].reason for s in reader.read(part) if s.notes] == ["truncated JSON"]
    (tmp_path / "c.json").unlink()
    assert [s.notes[0].reason for s in reader.read(part)] == ["file not readable"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=60) | st.text('[]{}",:\\ a1<image>').map(str.encode),
    name=st.sampled_from(["c.json", "c.jsonl"]),
)
def test_nothing_raises(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(data)
    for sample in [*read(tmp_path / name), *read(tmp_path)]:
        assert sample.items or sample.notes
    if name == "c.jsonl":
        assert detect_format(str(tmp_path / name)) == "jsonl"
    (tmp_path / name).unlink()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["<image>", "a.png", "image", "x", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "value", "from", "role", "content", "image", "url", "image_url"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.dictionaries(
        st.sampled_from(["id", "conversations", "messages", "image", "images", "videos"]), JSON
    )
)
def test_objects_of_any_shape_are_documents_or_failures(tmp_path: Path, value: Any) -> None:
    (tmp_path / "c.json").write_text(json.dumps([value]))
    (sample,) = read(tmp_path / "c.json")
    assert bool(sample.items) != any(note.kind == "read" for note in sample.notes)


# token documents


def line(text: Any, **more: Any) -> bytes:
    return json.dumps({"id": "a", "text": text, **more}).encode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (line("<__dj__image>" * 10_000, images=["https://a.example/x.jpg"] * 10_000), "a"),
        (line("<__dj__image>" * 80_000, images=["x"] * 3), "read: markers without media"),
        (line("<|__dj__eoc|>" * 100_001), "read: too many items"),
        (line("<__dj__image" * 80_000), "a"),
        (line("x", images=["x"] * 100_001), "read: too many items"),
        (line(["x"]), "read: text of another type"),
        (line("x")[:-3], "read: malformed JSON"),
        (b"[1]", "read: not a JSON object"),
        (b"\xff\xfe", "read: not UTF-8"),
        (b'{"text": ' + b"[" * 100_000, "read: malformed JSON"),
        (line("\ud800"), "read: not Unicode text"),
    ],
    ids=range(11),
)
def test_token_documents(tmp_path: Path, data: bytes, expected: str) -> None:
    begin = time.process_time()
    assert outcomes(tmp_path / "c.jsonl", data + b"\n" + line("x"), "data-juicer") == [expected, "a"]
    assert time.process_time() - begin < 10
