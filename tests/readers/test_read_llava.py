"""Chats: what each side says and shows in its order, media found beside the file, real files of five makers."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sluice.errors import UsageError
from sluice.readers import detect_format, open_reader
from sluice.readers import json_array as arrays
from sluice.readers import llava as module
from sluice.readers.json_array import elements
from sluice.readers.protocol import Slice
from sluice.sample import Item, Sample

REAL = "interleaved"


def read(path: Path, **settings: Any) -> list[Sample]:
    reader = open_reader(str(path), "llava", settings=settings)
    return [sample for part in reader.slices() for sample in reader.read(part)]


def png(shade: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def one(folder: Path, value: Any, **settings: Any) -> Sample:
    """The document of one object, in a folder that holds a.png and b.png."""
    for name in ("a.png", "b.png", "c.mp4"):
        (folder / name).write_bytes(png())
    (folder / "chat.json").write_text(json.dumps([value]))
    (sample,) = read(folder / "chat.json", **settings)
    return sample


def shown(sample: Sample) -> list[Any]:
    """Per item: turn, role, and its text or what lies where it is to be had."""
    return [
        (item.fields["turn"], item.fields["role"], item.text if item.modality == "text" else _where(item))
        for item in sample.items[1:]
    ]


def _where(item: Item) -> str:
    found = item.fields.get("url") or (item.media.uri.rpartition("/")[2] if item.media else "nothing")
    return f"<{item.modality} {found}>"


def failure(sample: Sample) -> str:
    return sample.notes[0].reason if not sample.items else ""


def test_llava(tmp_path: Path) -> None:
    sample = one(
        tmp_path,
        {
            "id": "000000033471",
            "image": "a.png",
            "source": "coco",
            "conversations": [
                {"from": "human", "value": "<image>\nWhat is on the bus? "},
                {"from": "gpt", "value": "A shirt."},
                {"from": "human", "value": "Thanks"},
            ],
        },
    )
    assert sample.key == "000000033471"
    assert sample.fields == {"source": "coco"}
    assert sample.items[0] == Item("metadata", "application/json", "json")
    assert [item.name for item in sample.items[1:]] == ["0.png", "1.txt", "2.txt", "3.txt"]
    assert shown(sample) == [
        (0, "human", "<image a.png>"),
        (0, "human", "\nWhat is on the bus? "),
        (1, "gpt", "A shirt."),
        (2, "human", "Thanks"),
    ]
    assert sample.items[1].content_type == "image/png"
    assert sample.items[1].media is not None
    assert sample.items[1].media.read() == png()


def test_sharegpt_takes_from_each_list_in_turn(tmp_path: Path) -> None:
    value = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "a<image>b<video><image>"},
        ],
        "images": ["b.png", "./a.png"],
        "videos": ["c.mp4"],
    }
    sample = one(tmp_path, value)
    assert sample.key == "chat/00000000"
    assert shown(sample) == [
        (0, "system", "Be brief."),
        (1, "user", "a"),
        (1, "user", "<image b.png>"),
        (1, "user", "b"),
        (1, "user", "<video c.mp4>"),
        (1, "user", "<image a.png>"),
    ]


PARTS = [
    ({"type": "image_url", "image_url": {"url": "a.png", "image_wh": [4, 3]}}, "<image a.png>"),
    ({"type": "image_url", "image_url": "a.png"}, "<image a.png>"),
    ({"type": "image_url", "value": "a.png"}, "<image a.png>"),
    ({"type": "image", "image": "a.png"}, "<image a.png>"),
    ({"image": "a.png"}, "<image a.png>"),
    ({"type": "video_url", "video_url": {"url": "c.mp4"}}, "<video c.mp4>"),
    ({"type": "image_url", "image_url": {"url": "https://a.example/x.jpg"}}, "<image https://a.example/x.jpg>"),
    ({"type": "text", "text": "hello"}, "hello"),
    ({"type": "text", "value": "hello <image>"}, "hello <image>"),
    ({"text": "hello"}, "hello"),
    ("hello", "hello"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "expected"), PARTS)
def test_lists_of_parts(tmp_path: Path, part: Any, expected: str) -> None:
    sample = one(tmp_path, {"messages": [{"role": "user", "content": ["x", part]}]})
    assert shown(sample) == [(0, "user", "x"), (0, "user", expected)]


def test_placeholders_say_where_media_stand(tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "a.png", "image_wh": [4, 3], "role": 1}}
    parts = [image, {"type": "text", "text": "see <IMG_CONTEXT>\nand"}, {"type": "image", "image": "b.png"}]
    sample = one(
        tmp_path, {"messages": [{"role": "user", "content": [*parts, {"text": "<IMG_CONTEXT>."}], "loss": 0}]}
    )
    assert [where for *_, where in shown(sample)] == ["see ", "<image a.png>", "\nand", "<image b.png>", "."]
    assert sample.items[2].fields == {
        "image_wh": [4, 3], "source_role": 1, "role": "user", "turn": 0, "message": {"loss": 0},
    }  # fmt: skip


def test_parts_without_address_take_the_next_of_the_list(tmp_path: Path) -> None:
    turn = {"role": "user", "content": [{"type": "image"}, {"text": "or <image>?"}]}
    sample = one(tmp_path, {"messages": [turn], "images": ["a.png", {"path": "b.png"}]})
    assert [where for *_, where in shown(sample)] == ["<image a.png>", "or ", "<image b.png>", "?"]


def test_media_without_any_marker_stand_first(tmp_path: Path) -> None:
    said = [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}]
    sample = one(tmp_path, {"image": ["a.png", "b.png"], "conversations": said})
    assert shown(sample) == [
        (0, "system", "<image a.png>"), (0, "system", "<image b.png>"), (0, "system", "s"), (1, "human", "q"),
    ]  # fmt: skip


def test_a_video_under_the_marker_of_an_image(tmp_path: Path) -> None:
    said = [{"from": "human", "value": "<image>\nWhat happens?"}]
    assert shown(one(tmp_path, {"video": "c.mp4", "conversations": said}))[0] == (0, "human", "<video c.mp4>")


def test_a_turn_of_nothing_is_an_empty_text(tmp_path: Path) -> None:
    said = [{"from": "human", "value": ""}, {"from": "gpt", "value": "hi"}]
    assert shown(one(tmp_path, {"conversations": said})) == [(0, "human", ""), (1, "gpt", "hi")]


def chat(text: str = "<image>", **more: Any) -> dict[str, Any]:
    return {"conversations": [{"from": "human", "value": text}], **more}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (chat("<image>"), "markers without media"),
        (chat("<image><image>", image="a.png"), "markers without media"),
        (chat("<image>", image=["a.png", "b.png"]), "media without markers"),
        (chat("<image>", image=[3]), "medium of another type"),
        (chat("<image>", image=[None]), "medium of another type"),
        (chat("<image>", image=""), "medium of another type"),
        (chat("<video>", image="a.png"), "markers without media"),
        ({"conversations": [], "image": "a.png"}, "no turns"),
        ({"conversations": "x"}, "not a chat"),
        ({"id": 1}, "not a chat"),
        ({"conversations": ["x"]}, "turn of another type"),
        ({"conversations": [{"from": "human"}]}, "incomplete turn"),
        ({"conversations": [{"value": "x"}]}, "incomplete turn"),
        ({"conversations": [{"from": 1, "value": "x"}]}, "role of another type"),
        ({"conversations": [{"from": "human", "value": 1}]}, "content of another type"),
        ({"messages": [{"role": "user", "content": [1]}]}, "part of another type"),
        ({"messages": [{"role": "user", "content": [{"type": "tool"}]}]}, "part of another type"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "text of another type"),
        ({"messages": [{"role": "user", "content": [{"text": "<IMG_CONTEXT>"}]}]}, "markers without media"),
        (
            {"messages": [{"role": "user", "content": [{"image": "a.png"}] * 2 + ["<IMG_CONTEXT>"]}]},
            "media without markers",
        ),
        ([1], "not a JSON object"),
        (None, "not a JSON object"),
    ],
)
def test_what_does_not_fit_fails_with_its_reason(tmp_path: Path, value: Any, reason: str) -> None:
    assert failure(one(tmp_path, value)) == reason


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("missing.png", "file missing"),
        ("../a.png", "unsafe path"),
        ("/etc/hostname", "unsafe path"),
        ("file:///etc/hostname", "unsafe path"),
        ("a\0.png", "unsafe path"),
        ("x" * 5000, "file missing"),
        ("data:image/png;base64,AAAA", "not an image"),
    ],
)
def test_a_medium_that_cannot_be_had_is_a_note(tmp_path: Path, address: str, reason: str) -> None:
    sample = one(tmp_path, chat("<image>x", image=address))
    assert [(note.reason, note.item) for note in sample.notes] == [(reason, 1)]
    assert sample.items[1].media is None
    assert sample.items[2].text == "x"


def test_pictures_in_the_text_itself_and_on_the_web(tmp_path: Path) -> None:
    inline = "data:image/png;base64," + base64.b64encode(png()).decode()
    sample = one(tmp_path, chat("<image><image>", image=[inline, "http://a.example/q.webp?x=1"]))
    first, second = sample.items[1:]
    assert first.media is not None
    assert (first.media.read(), first.name, first.content_type) == (png(), "0.png", "image/png")
    assert (second.name, second.content_type, second.media) == ("1.webp", "image/webp", None)
    assert second.fields["url"] == "http://a.example/q.webp?x=1"


def test_where_media_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "chats").mkdir()
    (tmp_path / "pictures" / "deep").mkdir(parents=True)
    (tmp_path / "pictures" / "deep" / "a.png").write_bytes(png())
    (tmp_path / "chats" / "c.json").write_text(json.dumps([chat("<image>", image="data/deep/a.png")]))
    (sample,) = read(tmp_path, media_root="./pictures/", strip_prefix="data/")
    assert (sample.key, sample.notes) == ("chats/c/00000000", ())
    assert sample.items[1].media is not None
    (lost,) = read(tmp_path, strip_prefix="data/")
    assert lost.notes[0].reason == "file missing"


@pytest.mark.parametrize("root", ["/tmp", "..", "a/../.."])
def test_media_are_never_looked_for_outside_the_source(tmp_path: Path, root: str) -> None:
    (tmp_path / "c.json").write_text("[]")
    with pytest.raises(UsageError, match="media_root"):
        read(tmp_path, media_root=root)


@pytest.mark.parametrize(
    ("identity", "key"),
    [("x/y z", "x/y z"), (7, "7"), (None, "chat/00000000"), ("", "chat/00000000"), (True, "chat/00000000")],
)
def test_ids(tmp_path: Path, identity: Any, key: str) -> None:
    assert one(tmp_path, chat("hi", id=identity)).key == key


# real files


def test_real_llamafactory(data_dir: Path) -> None:
    folder = data_dir / REAL / "llamafactory"
    samples = read(folder / "mllm_demo.json")
    assert len(samples) == 6
    assert not any(sample.notes for sample in samples)
    assert [where for *_, where in shown(samples[0])] == [
        "<image 1.jpg>",
        "Who are they?",
        "They're Kane and Gretzka from Bayern Munich.",
        "What are they doing?",
        "<image 1.jpg>",
        "They are celebrating on the soccer field.",
    ]
    lists = read(folder / "v1_multimodal_demo.jsonl", strip_prefix="data/")
    assert not any(sample.notes for sample in lists)
    assert shown(lists[0]) == shown(samples[0])
    sounds = read(folder / "mllm_video_audio_demo.json")
    assert [item.modality for item in sounds[0].items[1:]] == ["video", "audio", "text", "text"]
    assert [note.reason for note in sounds[0].notes] == ["file missing"] * 2
    assert {s.items[1].content_type for s in read(folder / "mllm_video_demo.json")} == {
        "video/mp4", "video/x-msvideo",
    }  # fmt: skip


def test_real_qwen(data_dir: Path) -> None:
    samples = read(data_dir / REAL / "qwen", strip_prefix="demo/")
    assert [(s.key, s.notes) for s in samples] == [(f"single_images/{k:08d}", ()) for k in range(3)]
    assert shown(samples[0]) == [
        (0, "human", "Is the value of Favorable 38 in 2015?\n"), (0, "human", "<image 10095.png>"), (1, "gpt", "Yes"),
    ]  # fmt: skip


def test_real_xtuner(data_dir: Path, tmp_path: Path) -> None:
    for name in ("mscoco_dog_000000319154.jpg", "mscoco_twocat_000000039769.jpg"):
        (tmp_path / "pics").mkdir(exist_ok=True)
        shutil.copy(data_dir / "photos" / f"xtuner__{name}", tmp_path / "pics" / name)
    for file in (data_dir / REAL / "xtuner").glob("*image*.jsonl"):
        shutil.copy(file, tmp_path)
    samples = read(tmp_path, media_root="pics", strip_prefix="resource/")
    assert len(samples) == 11 + 12
    assert not any(sample.notes for sample in samples)
    first = next(s for s in samples if s.items[1].fields["role"] == "pretrain")
    assert [where for *_, where in shown(first)] == [
        "<image mscoco_dog_000000319154.jpg>",
        "\n图片中的狗是什么颜色？",
        "<image mscoco_twocat_000000039769.jpg>",
        "\n图中有几只猫",
    ]
    videos = read(data_dir / REAL / "xtuner" / "xtuner__mllm_sft_video_example_data.jsonl")
    assert all(s.notes[0].reason == "file missing" for s in videos)
    assert [item.modality for item in videos[0].items[1:3]] == ["video", "text"]


# detection


def write(folder: Path, files: dict[str, Any]) -> Path:
    for name, value in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        (folder / name).write_bytes(data)
    return folder


CHAT = chat("<image>", image="images/a.png")


@pytest.mark.parametrize(
    ("files", "format"),
    [
        ({"c.json": [CHAT]}, "llava"),
        ({"c.json": [CHAT], "images/a.png": png()}, "llava"),
        ({"c.jsonl": CHAT}, "llava"),
        ({"c.jsonl": b"\n\xef\xbb\xbf" + json.dumps(CHAT).encode()}, "llava"),
        ({"c.json": json.dumps(CHAT).encode() + b"\n" + json.dumps(CHAT).encode()}, "llava"),
        ({"c.json": b"\xef\xbb\xbf [ \n" + json.dumps(CHAT).encode() + b"]"}, "llava"),
        ({"c.jsonl": {"text": "a", "image": "a.png"}}, "jsonl"),
        ({"c.jsonl": {"text": "a", "conversations": [], "messages": "x"}}, "jsonl"),
        ({"c.jsonl": {"key": "a", "members": [], "sidecars": [], **CHAT}}, "jsonl"),
        ({"a.png": png(), "a.json": {"caption": "x"}, "a_stats.json": {"count": 1}}, "folder"),
        ({"a.png": png(), "a.json": [{"caption": "x"}]}, "folder"),
        ({"a.txt": b"x", "a.json": CHAT | {"conversations": [1]}}, "folder"),
    ],
)
def test_detection(tmp_path: Path, files: dict[str, Any], format: str) -> None:
    assert detect_format(str(write(tmp_path, files))) == format


def test_json_of_other_content_is_no_chat_unless_it_is_named(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"a.json": [chat("x")], "dataset_info.json": {"a": {"file": "a.json"}}, "b.jsonl": chat("y")},
    )
    assert [s.key for s in read(tmp_path)] == ["a/00000000", "b/00000000"]
    (named,) = read(tmp_path / "dataset_info.json")
    assert failure(named) == "not a JSON array"


# arrays


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text('ab"\\[]{}, \né😀'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('x"]}\\'), inner, max_size=4),
    max_leaves=8,
)


@given(values=st.lists(VALUES, max_size=8), window=st.integers(1, 40), indent=st.sampled_from([None, 0, 2]))
def test_elements_of_any_array(values: list[Any], window: int, indent: int | None) -> None:
    data = json.dumps(values, indent=indent, ensure_ascii=False).encode()
    before, arrays._WINDOW = arrays._WINDOW, window
    try:
        found = list(elements(io.BytesIO(data)))
        assert [json.loads(e.data) for e in found] == values
        assert not any(e.trouble for e in found)
        for k, element in enumerate(found):
            rest = list(elements(io.BytesIO(data), element.begin, None))
            assert rest == found[k:]
            upto = list(elements(io.BytesIO(data), found[0].begin, element.begin))
            assert upto == found[:k]
    finally:
        arrays._WINDOW = before


def parts_of(path: Path) -> Iterator[tuple[Slice, list[Sample]]]:
    reader = open_reader(str(path), "llava")
    for part in reader.slices():
        yield part, list(reader.read(part))


def test_slices_are_whole_objects_and_rows_can_be_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE_SAMPLES", 3)
    (tmp_path / "c.json").write_text(json.dumps([chat(f"text {k}", id=k) for k in range(8)], indent=1))
    parts = list(parts_of(tmp_path / "c.json"))
    assert [(p.first_row, p.samples) for p, _ in parts] == [(0, 3), (3, 3), (6, 2)]
    assert [s.key for _, found in parts for s in found] == [str(k) for k in range(8)]
    reader = open_reader(str(tmp_path / "c.json"), "llava")
    assert [s.key for s in reader.read(parts[1][0], rows={1})] == ["4"]
    assert len({s.id for _, found in parts for s in found}) == 8
